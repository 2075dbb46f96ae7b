#!/usr/bin/python3
"""Trains Lineside's demo model on what `demomodel data` wrote.

  train.py DATA OUT [--rates "0:0 100:1 5000:0"] [--dim 192 --layers 5 ...] [--resume] [--from FILE.pt]
  train.py DATA OUT --mean A.pt B.pt

A Llama in plain PyTorch (1.13 is enough), no GPU needed. The learning rate
follows --rates. OUT/state.pt is the checkpoint that --resume goes on from, and
OUT/STEP.pt stays from each step at which the rate is zero. --mean trains nothing:
the weights are the mean of those of some checkpoints. OUT/log.tsv the curve, and OUT/weights.json with weights.f32 are what
`demomodel export` reads: tensors under their GGUF names.
"""
import argparse, json, math, multiprocessing, os, time
import numpy as np
import torch
import torch.nn.functional as F

MUON = ("attn_q", "attn_k", "attn_v", "attn_output", "ffn_gate", "ffn_up", "ffn_down")


# How the shipped model was trained: facts first, then the mix, then the varied asks, then close codes.
RATES = "0:0 100:1 1750:1 3250:0 3250:0.4 4050:0 4050:0 4100:0.6 5600:0.247 5740:0.03 5740:0 5770:0.5 6240:0 6260:0.5 6760:0 6790:0.5 7540:0"


def points(text):
    return [(int(n), float(share)) for n, share in (p.split(":") for p in text.split())]


def share(rates, n):
    """The line through the points at step n, the first steps of a fall at its top."""
    for (a, x), (b, y) in zip(rates, rates[1:]):
        if a < n <= b:
            return x + (y - x) * (n - a - (y < x)) / (b - a)
    return 0.0


def options():
    a = argparse.ArgumentParser()
    a.add_argument("data"); a.add_argument("out")
    a.add_argument("--rates", type=points, default=RATES, help="share of the learning rate, as STEP:SHARE with lines between; the last step ends it")
    a.add_argument("--batch", type=int, default=48, help="asks a step")
    a.add_argument("--dim", type=int, default=192); a.add_argument("--layers", type=int, default=5)
    a.add_argument("--heads", type=int, default=6); a.add_argument("--kv", type=int, default=2)
    a.add_argument("--ffn", type=int, default=512)
    a.add_argument("--lr", type=float, default=0.02, help="of the matrices (Muon) until --drop")
    a.add_argument("--lr-then", type=float, default=0.006, help="and after it")
    a.add_argument("--lr-rest", type=float, default=0.003, help="of embedding and norms (AdamW); half of it after --drop")
    a.add_argument("--drop", type=int, default=1000, help="step after which the rates are lower")
    a.add_argument("--seed", type=int, default=1); a.add_argument("--workers", type=int, default=1, help="processes that share each step's asks")
    a.add_argument("--eval-every", type=int, default=250)
    a.add_argument("--resume", action="store_true"); a.add_argument("--from", dest="source", help="checkpoint to go on from, of another OUT")
    a.add_argument("--mean", nargs="+", help="checkpoints whose weights to average")
    return a.parse_args()


def init(o, vocab):
    """Weights under their GGUF names, as rows of outputs."""
    g = torch.Generator().manual_seed(o.seed)
    d, hd = o.dim, o.dim // o.heads

    def mat(rows, cols, gain=1.0):
        return torch.randn(rows, cols, generator=g) * gain / math.sqrt(cols)

    w = {"token_embd": torch.randn(vocab, d, generator=g) * 0.02, "output_norm": torch.ones(d)}
    for i in range(o.layers):
        b = f"blk.{i}."
        w[b + "attn_norm"], w[b + "ffn_norm"] = torch.ones(d), torch.ones(d)
        w[b + "attn_q"], w[b + "attn_k"] = mat(d, d), mat(o.kv * hd, d)
        w[b + "attn_v"], w[b + "attn_output"] = mat(o.kv * hd, d), mat(d, d, 0.3)
        w[b + "ffn_gate"], w[b + "ffn_up"], w[b + "ffn_down"] = mat(o.ffn, d), mat(o.ffn, d), mat(d, o.ffn, 0.3)
    return {k: v.requires_grad_() for k, v in w.items()}


def rope_table(o, length, base=10000.0):
    hd = o.dim // o.heads
    freq = base ** (-torch.arange(0, hd, 2).float() / hd)
    angle = torch.arange(length).float()[:, None] * freq
    return angle.cos()[None, :, None], angle.sin()[None, :, None]


def rotate(x, cos, sin):
    a, b = x.chunk(2, -1)  # halves; export reorders rows to llama.cpp's pairs
    return torch.cat((a * cos - b * sin, b * cos + a * sin), -1)


class Product(torch.autograd.Function):
    """x @ w.T in bfloat16, the rest in float32: twice as fast where the CPU has it."""

    @staticmethod
    def forward(ctx, x, w):
        x, w = x.bfloat16(), w.bfloat16()
        ctx.save_for_backward(x, w)
        return (x @ w.T).float()

    @staticmethod
    def backward(ctx, g):
        x, w = ctx.saved_tensors
        g = g.bfloat16()
        return (g @ w).float(), (g.flatten(0, -2).T @ x.flatten(0, -2)).float()


FAST = "avx512_bf16" in open("/proc/cpuinfo").read()


def times(x, w):
    return Product.apply(x, w) if FAST else x @ w.T


def norm(x, weight):
    return x * torch.rsqrt(x.pow(2).mean(-1, keepdim=True) + 1e-5) * weight


def forward(o, w, tokens, want, rope):
    """Logits at the places where want is true."""
    n, t = tokens.shape
    hd, group = o.dim // o.heads, o.heads // o.kv
    cos, sin = rope[0][:, :t], rope[1][:, :t]
    mask = torch.full((t, t), float("-inf")).triu(1)
    x = w["token_embd"][tokens]
    for i in range(o.layers):
        b = f"blk.{i}."
        h = norm(x, w[b + "attn_norm"])
        q = rotate(times(h, w[b + "attn_q"]).view(n, t, o.heads, hd), cos, sin)
        k = rotate(times(h, w[b + "attn_k"]).view(n, t, o.kv, hd), cos, sin)
        v = times(h, w[b + "attn_v"]).view(n, t, o.kv, hd)
        # Query heads of one group follow one another along the sequence.
        q = q.view(n, t, o.kv, group, hd).permute(0, 2, 3, 1, 4).reshape(n * o.kv, group * t, hd)
        k = k.permute(0, 2, 3, 1).reshape(n * o.kv, hd, t)
        v = v.permute(0, 2, 1, 3).reshape(n * o.kv, t, hd)
        s = torch.bmm(q, k) * hd ** -0.5
        s = torch.softmax(s.view(-1, group, t, t) + mask, -1).view(n * o.kv, group * t, t)
        a = torch.bmm(s, v).view(n, o.kv, group, t, hd).permute(0, 3, 1, 2, 4).reshape(n, t, o.dim)
        if i == o.layers - 1:  # the rest of the last block matters only where an answer is
            x, a = x[want], a[want]
        x = x + times(a, w[b + "attn_output"])
        h = norm(x, w[b + "ffn_norm"])
        x = x + times(F.silu(times(h, w[b + "ffn_gate"])) * times(h, w[b + "ffn_up"]), w[b + "ffn_down"])
    return times(norm(x, w["output_norm"]), w["token_embd"])


def pad(rows, prompts):
    """Rows of tokens to one array, and where their answers are predicted."""
    t = max(map(len, rows)) - 1
    x = np.zeros((len(rows), t), np.int64); y = np.zeros((len(rows), t), np.int64)
    m = np.zeros((len(rows), t), bool)
    for i, (r, p) in enumerate(zip(rows, prompts)):
        x[i, :len(r) - 1], y[i, :len(r) - 1] = r[:-1], r[1:]
        m[i, p - 1:len(r) - 1] = True
    return torch.from_numpy(x), torch.from_numpy(y), torch.from_numpy(m)


def batches(o, tokens, index, start):
    """Training asks in their order, those of like length together, from step start on."""
    step, chunk = 0, o.batch * 16
    first = 0
    while True:
        rng = np.random.default_rng((o.seed, step))
        ids = np.arange(first, first + chunk) % (len(index) - 1)
        first += chunk
        ids = ids[np.argsort([index[i + 1][0] - index[i][0] for i in ids], kind="stable")]
        groups = np.split(ids, 16); rng.shuffle(groups)
        for group in groups:
            step += 1
            if step > start:
                yield pad([tokens[index[i][0]:index[i + 1][0]] for i in group], [index[i][1] for i in group])


def orthogonal(g, steps=5):
    """Newton-Schulz: the nearest matrix with all singular values about one."""
    a, b, c = 3.4445, -4.7750, 2.0315
    x = g.T if g.shape[0] > g.shape[1] else g
    x = x / (x.norm() + 1e-7)
    x = x.bfloat16() if FAST else x
    for _ in range(steps):
        y = x @ x.T
        x = a * x + (b * y + c * (y @ y)) @ x
    return (x.T if g.shape[0] > g.shape[1] else x).float()


class Optimizer:
    """Muon for the matrices of the blocks, AdamW for embedding and norms."""

    def __init__(self, o, w):
        self.o, self.w = o, w
        self.m = {k: torch.zeros_like(v) for k, v in w.items()}
        self.v = {k: torch.zeros_like(v) for k, v in w.items() if not self.is_matrix(k)}

    @staticmethod
    def is_matrix(name):
        return name.split(".")[-1] in MUON

    @torch.no_grad()
    def step(self, n, scale):
        o = self.o
        lr, rest = (o.lr, o.lr_rest) if n <= o.drop else (o.lr_then, o.lr_rest / 2)
        for k, p in self.w.items():
            g, m = p.grad, self.m[k]
            if self.is_matrix(k):
                m.mul_(0.95).add_(g)
                u = orthogonal(g + 0.95 * m) * max(1, p.shape[0] / p.shape[1]) ** 0.5
                p.mul_(1 - 0.02 * lr * scale).sub_(u, alpha=lr * scale)
            else:
                v = self.v[k]
                m.mul_(0.9).add_(g, alpha=0.1); v.mul_(0.99).addcmul_(g, g, value=0.01)
                p.sub_(rest * scale * (m / (1 - 0.9 ** n)) / ((v / (1 - 0.99 ** n)).sqrt() + 1e-10))
            p.grad = None


@torch.no_grad()
def judge(o, w, held, rope):
    """Share of held-out asks by group whose whole greedy answer is right.

    Greedy decoding gives the right answer exactly where every token is the
    likeliest one after the right ones before it, so one pass tells.
    """
    right = {}
    held = sorted(held, key=lambda a: len(a["prompt"]) + len(a["tokens"]))
    for i in range(0, len(held), 64):
        part = held[i:i + 64]
        x, y, m = pad([np.array(a["prompt"] + a["tokens"]) for a in part], [len(a["prompt"]) for a in part])
        hit = forward(o, w, x, m, rope).argmax(-1) == y[m]
        pos = 0
        for a in part:
            n = len(a["tokens"])
            right.setdefault(a["group"], []).append(bool(hit[pos:pos + n].all())); pos += n
    return {k: sum(v) / len(v) for k, v in sorted(right.items())}


def dump(o, w, out, vocab):
    """Tensors under their GGUF names, queries and keys in llama.cpp's order of pairs."""
    hd, meta, at = o.dim // o.heads, [], 0
    with open(os.path.join(out, "weights.f32"), "wb") as f:
        for k, v in w.items():
            v = v.detach()
            if k.endswith(("attn_q", "attn_k")):
                v = v.view(-1, 2, hd // 2, o.dim).transpose(1, 2).reshape(-1, o.dim)
            raw = v.contiguous().numpy().astype("<f4").tobytes()
            meta.append({"name": k + ".weight", "shape": list(v.shape), "offset": at})
            f.write(raw); at += len(raw)
    shape = {"vocab": vocab, "dim": o.dim, "layers": o.layers, "heads": o.heads, "kv": o.kv, "ffn": o.ffn,
             "rope_base": 10000, "norm_eps": 1e-5}
    with open(os.path.join(out, "weights.json"), "w") as f:
        json.dump({"shape": shape, "tensors": meta}, f)


def save(o, n, w, opt, name):
    torch.save({"step": n, "w": {k: v.data for k, v in w.items()}, "m": opt.m, "v": opt.v}, os.path.join(o.out, name))


def mean(o, w, held):
    """Averages checkpoints, judges the result and writes it."""
    parts = [torch.load(name)["w"] for name in o.mean]
    with torch.no_grad():
        for k in w:
            w[k].copy_(sum(p[k] for p in parts) / len(parts))
    score = judge(o, w, held, rope_table(o, 512))
    print("held-out " + "  ".join(f"{k} {100 * v:.1f}" for k, v in score.items()), flush=True)
    dump(o, w, o.out, w["token_embd"].shape[0])


class Shared:
    """Adds up the gradients of all workers, in the same order everywhere."""

    def __init__(self, o, w):
        size = sum(v.numel() for v in w.values())
        self.grads = [torch.zeros(size).share_memory_() for _ in range(o.workers)]
        self.barrier = multiprocessing.Barrier(o.workers)

    def sum(self, rank, w):
        if len(self.grads) == 1:
            return
        self.grads[rank].copy_(torch.cat([v.grad.flatten() for v in w.values()]))
        self.barrier.wait()
        total, at = sum(self.grads[1:], self.grads[0].clone()), 0
        self.barrier.wait()  # nobody writes again before all have read
        for v in w.values():
            v.grad = total[at:at + v.numel()].view_as(v); at += v.numel()


def work(rank, o, shared, w, opt, start, tokens, index, held):
    """Trains from step start on; the worker of rank 0 also judges and saves."""
    torch.set_num_threads(1)
    vocab, rope = w["token_embd"].shape[0], rope_table(o, 512)
    last = o.rates[-1][0]
    log, t0, loss_sum, seen = open(os.path.join(o.out, "log.tsv"), "a"), time.time(), 0.0, 0
    recent = math.nan
    for n, (x, y, m) in enumerate(batches(o, tokens, index, start), start + 1):
        scale = share(o.rates, n)
        seen += x.numel(); wanted = m.sum()
        x, y, m = x[rank::o.workers], y[rank::o.workers], m[rank::o.workers]
        loss = F.cross_entropy(forward(o, w, x, m, rope), y[m], reduction="sum") / wanted
        loss.backward(); shared.sum(rank, w); opt.step(n, scale)
        loss_sum += loss.item() * o.workers
        if rank == 0 and n % 50 == 0:
            print(f"step {n} loss {loss_sum / 50:.4f} {seen / (time.time() - t0):.0f} tokens/s", flush=True)
            recent, loss_sum = loss_sum / 50, 0.0
        if rank == 0 and (n % o.eval_every == 0 or n == last):
            score = judge(o, w, held if n == last else held[::5], rope)
            print(f"step {n} held-out " + "  ".join(f"{k} {100 * v:.1f}" for k, v in score.items()), flush=True)
            log.write(json.dumps({"step": n, "loss": recent, "minutes": (time.time() - t0) / 60, **score}) + "\n"); log.flush()
            save(o, n, w, opt, "state.pt"); dump(o, w, o.out, vocab)
        if rank == 0 and (n, 0.0) in o.rates:
            save(o, n, w, opt, f"{n}.pt")
        if n == last:
            break


def main():
    o = options()
    torch.set_num_threads(1)
    os.makedirs(o.out, exist_ok=True)
    tokens = np.fromfile(os.path.join(o.data, "tokens.u16"), "<u2").astype(np.int64)
    index = np.fromfile(os.path.join(o.data, "index.u32"), "<u4").astype(np.int64).reshape(-1, 2)
    held = json.load(open(os.path.join(o.data, "heldout.json")))
    w = init(o, 32 * (int(tokens.max()) // 32 + 1))
    if o.mean:
        mean(o, w, held)
        return
    opt, start = Optimizer(o, w), 0
    if o.resume or o.source:
        s = torch.load(o.source or os.path.join(o.out, "state.pt")); start = s["step"]
        for k in w:
            w[k].data.copy_(s["w"][k]); opt.m[k].copy_(s["m"][k])
            if k in opt.v: opt.v[k].copy_(s["v"][k])
        print(f"resumed at step {start}")
    print(f"{sum(v.numel() for v in w.values()) / 1e6:.2f} M parameters, {len(index) - 1} asks", flush=True)
    args = (o, Shared(o, w), w, opt, start, tokens, index, held)
    others = [multiprocessing.Process(target=work, args=(rank, *args), daemon=True) for rank in range(1, o.workers)]
    for p in others:
        p.start()
    work(0, *args)
    for p in others:
        p.join()


if __name__ == "__main__":
    main()
