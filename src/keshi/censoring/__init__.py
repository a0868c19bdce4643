"""Representations that keep the label and lose the person (Iwasawa et al., JSAI 2018)."""
