"""ProductMixture: a mixture of products, whose characteristic function, and so every marginal, is known exactly."""

from __future__ import annotations

import math
import numpy as np
import torch
from torch import Tensor

from keshi.synthesis.features import ClassCounts
from keshi.synthesis.marginals import MarginalFeatures
from keshi.synthesis.partitions import CLASS, Partition

F = dict(M=2000, steps=150, lr=0.1, init=1.0, chi=1.0, warm=0.0)


def fit(embedding, seed=0, verbose=False):
    m = embedding.measurement(MarginalFeatures)
    block: MarginalFeatures = m.features(MarginalFeatures)
    tables = block.tables(m.values(MarginalFeatures))
    stds = block.noise_stds(m.noise_std(MarginalFeatures))
    C = block.n_classes
    with_class = C > 1
    coarse = sorted({p for mg in block.marginals for p in mg if len(mg) > (2 if with_class else 1) and block.partitions[p].start != CLASS})
    if not coarse:
        coarse = [p for p in range(len(block.partitions)) if block.partitions[p].start != CLASS]
    sizes = [block.partitions[p].cells for p in coarse]
    offset = dict(zip(coarse, np.cumsum([0, *sizes[:-1]])))
    D = sum(sizes)
    Y = torch.zeros(C, D, D); W = torch.zeros(C, D, D); y = torch.zeros(C, D); w = torch.zeros(C, D)
    U = torch.zeros(D, D); WU = torch.zeros(D, D)
    for mg, table, sd in zip(block.marginals, tables, stds):
        own = [p for p in mg if block.partitions[p].start != CLASS]
        if any(p not in offset for p in own):
            continue
        has = len(own) < len(mg)
        t = torch.tensor(table, dtype=torch.float32).reshape((C if has else 1), *[block.partitions[p].cells for p in own])
        sl = [slice(offset[p], offset[p] + block.partitions[p].cells) for p in own]
        if len(own) == 1:
            if has or C == 1:
                y[:, sl[0]] = t; w[:, sl[0]] = 1 / sd**2
        elif has or C == 1:
            Y[:, sl[0], sl[1]] = t; W[:, sl[0], sl[1]] = 1 / sd**2
        else:
            U[sl[0], sl[1]] = t[0]; WU[sl[0], sl[1]] = 1 / sd**2
    cells = int((W > 0).sum() + (w > 0).sum() + (WU > 0).sum())
    u1 = torch.zeros(D); wu1 = torch.zeros(D)
    if F.get("ones"):
        for p in coarse:
            best = embedding.best[block.partitions[p].start]
            sl = slice(offset[p], offset[p] + block.partitions[p].cells)
            u1[sl] = torch.tensor(np.bincount(block.partitions[p].joined, weights=best[0]).astype(np.float32)); wu1[sl] = torch.tensor((1/ np.bincount(block.partitions[p].joined, weights=best[1])).astype(np.float32)) if F["ones"]==1 else 1/best[1].mean()
        cells += int((wu1 > 0).sum())
    globals()["DBG"]=(u1,wu1,y,w,coarse,sizes)
    n_c = torch.tensor(embedding.class_counts, dtype=torch.float32)
    M = max(64, F["M"] // C)
    g = torch.Generator().manual_seed(seed)
    group = torch.zeros(D, len(coarse))
    for i, p in enumerate(coarse):
        group[offset[p]:offset[p] + sizes[i], i] = 1
    start = (y.clamp_min(0) + 0.5 * (1/ w.clamp_min(1e-12)).sqrt().clamp_max(1e6)*0 + 1.0) 
    start = start / (start @ group @ group.T)
    L = (start.log()[:, None, :] + F["init"] * torch.randn(C, M, D, generator=g)).requires_grad_()
    opt = torch.optim.Adam([L], lr=F["lr"], betas=F.get("betas", (0.9, 0.999)))
    sched = torch.optim.lr_scheduler.CosineAnnealingLR(opt, F["steps"])
    scale = n_c / M
    def probs(L):
        E = (L - L.amax(-1, keepdim=True)).exp() if False else L.exp()
        return E / (E @ group @ group.T)
    for step in range(F["steps"]):
        P = probs(L)
        G = torch.bmm(P.transpose(1, 2), P) * scale[:, None, None]
        r = ((G - Y).square() * W).sum()
        one = P.sum(1) * scale[:, None]
        r = r + ((one - y).square() * w).sum()
        if F.get("uncond"):
            r = r + ((G.sum(0) - U).square() * WU).sum()
        if F.get("ones"):
            r = r + ((one.sum(0) - u1).square() * wu1).sum()
        if F.get("grams"): pass
        chi = r / cells
        loss = chi
        opt.zero_grad(); loss.backward(); opt.step(); sched.step()
        if verbose and step % 25 == 0: print(step, float(chi.detach()))
        if float(chi.detach()) < F["chi"]:
            break
    if verbose: print("stop", step, float(chi), "D", D, "cells", cells)
    return probs(L.detach()), coarse, offset, block, tables, stds, n_c
