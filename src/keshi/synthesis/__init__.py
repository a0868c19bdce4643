"""PEARL: private embeddings and adversarial reconstruction (Liew et al., ICLR 2022)."""
