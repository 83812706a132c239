"""Random models of Llama's shape, 1.1 billion parameters, for timing only:
as safetensors for mlverify-run and as GGUF for llama-bench."""
import json
import os
import random
import struct

DIM, INNER, HEADS, KV_HEADS, VOCAB = 2048, 5632, 32, 4, 32000
HEAD_DIM = DIM // HEADS
CONTEXT = 2048

# name, name in GGUF, shape; {} is the layer
LAYER = [
    ("self_attn.q_proj", "attn_q", (DIM, DIM)),
    ("self_attn.k_proj", "attn_k", (KV_HEADS * HEAD_DIM, DIM)),
    ("self_attn.v_proj", "attn_v", (KV_HEADS * HEAD_DIM, DIM)),
    ("self_attn.o_proj", "attn_output", (DIM, DIM)),
    ("mlp.gate_proj", "ffn_gate", (INNER, DIM)),
    ("mlp.up_proj", "ffn_up", (INNER, DIM)),
    ("mlp.down_proj", "ffn_down", (DIM, INNER)),
    ("input_layernorm", "attn_norm", (DIM,)),
    ("post_attention_layernorm", "ffn_norm", (DIM,)),
]


def config(layers):
    return {"model_type": "llama", "vocab_size": VOCAB, "hidden_size": DIM,
            "num_hidden_layers": layers, "num_attention_heads": HEADS,
            "num_key_value_heads": KV_HEADS, "intermediate_size": INNER,
            "max_position_embeddings": CONTEXT, "rms_norm_eps": 1e-5,
            "bos_token_id": 1, "eos_token_id": 2}


def tensors(layers):
    yield "model.embed_tokens.weight", "token_embd.weight", (VOCAB, DIM)
    for i in range(layers):
        for name, gguf, shape in LAYER:
            yield (f"model.layers.{i}.{name}.weight",
                   f"blk.{i}.{gguf}.weight", shape)
    yield "model.norm.weight", "output_norm.weight", (DIM,)
    yield "lm_head.weight", "output.weight", (VOCAB, DIM)


def count(shape):
    return shape[0] * (shape[1] if len(shape) == 2 else 1)


def token_bytes(layers, bits):
    """Of the matrices that one token reads."""
    return sum(count(shape) for _, gguf, shape in tensors(layers)
               if len(shape) == 2 and gguf != "token_embd.weight") * bits // 8


# ---- numbers ----

def f16_block(source):
    """A megabyte between about -0.06 and 0.06, no two rows alike."""
    raw = bytearray(source.randbytes(1 << 20))
    # sign and a low bit of the exponent stay random: |v| < 2^-4
    raw[1::2] = bytes((b & 0x83) | 0x28 for b in raw[1::2])
    return bytes(raw)


def bf16_block(source):
    """The same from 2^-5 to 2^-4."""
    raw = bytearray(source.randbytes(1 << 20))
    raw[0::2] = bytes(b & 0x7f for b in raw[0::2])
    raw[1::2] = bytes((b & 0x80) | 0x3d for b in raw[1::2])
    return bytes(raw)


def q8_block(source):
    """Groups of 32 bytes, each behind its scale."""
    scale = struct.pack("<e", 2.0 ** -11)
    return b"".join(scale + source.randbytes(32) for _ in range(1 << 15))


def write_numbers(f, source, blocks, size):
    while size > 0:
        size -= f.write(source.choice(blocks)[:size])


# ---- safetensors ----

def make_safetensors(folder, dtype, layers):
    """A model's folder; returns the path of its weights. dtype: F16, BF16"""
    source = random.Random(7)
    make = f16_block if dtype == "F16" else bf16_block
    one = struct.pack("<e", 1.0) if dtype == "F16" else b"\x80\x3f"
    blocks = [make(source) for _ in range(16)]
    head, at = {}, 0
    for name, _, shape in tensors(layers):
        size = 2 * count(shape)
        head[name] = {"dtype": dtype, "shape": list(shape),
                      "data_offsets": [at, at + size]}
        at += size
    text = json.dumps(head).encode()
    text += b" " * (-(len(text) + 8) % 4096)
    os.mkdir(folder)
    path = os.path.join(folder, "model.safetensors")
    with open(path, "wb") as f:
        f.write(struct.pack("<Q", len(text)) + text)
        for _, _, shape in tensors(layers):
            if len(shape) == 1:
                f.write(one * shape[0])
            else:
                write_numbers(f, source, blocks, 2 * count(shape))
    with open(os.path.join(folder, "config.json"), "w",
              encoding="utf-8") as f:
        json.dump(config(layers), f)
    return path


# ---- GGUF, version 3 ----

F32, F16, Q8_0 = 0, 1, 8
UINT32, FLOAT32, STRING = 4, 6, 8


def text_of(s):
    return struct.pack("<Q", len(s)) + s.encode()


def metadata(kind, layers):
    yield "general.architecture", STRING, "llama"
    yield "general.alignment", UINT32, 64
    yield "general.file_type", UINT32, 1 if kind == F16 else 7
    yield "llama.vocab_size", UINT32, VOCAB
    yield "llama.block_count", UINT32, layers
    yield "llama.context_length", UINT32, CONTEXT
    yield "llama.embedding_length", UINT32, DIM
    yield "llama.feed_forward_length", UINT32, INNER
    yield "llama.attention.head_count", UINT32, HEADS
    yield "llama.attention.head_count_kv", UINT32, KV_HEADS
    yield "llama.rope.dimension_count", UINT32, HEAD_DIM
    yield "llama.attention.layer_norm_rms_epsilon", FLOAT32, 1e-5
    yield "tokenizer.ggml.model", STRING, "no_vocab"


def pack_metadata(kind, layers):
    out, n = b"", 0
    for key, t, value in metadata(kind, layers):
        out += text_of(key) + struct.pack("<I", t)
        out += (text_of(value) if t == STRING else
                struct.pack("<I" if t == UINT32 else "<f", value))
        n += 1
    return out, n


def size_of(kind, shape):
    if len(shape) == 1:
        return 4 * shape[0]
    return count(shape) * 2 if kind == F16 else count(shape) // 32 * 34


def make_gguf(path, kind, layers):
    """kind: F16 or Q8_0."""
    source = random.Random(7)
    make = f16_block if kind == F16 else q8_block
    blocks = [make(source) for _ in range(16)]
    meta, n_meta = pack_metadata(kind, layers)
    table, at, n = b"", 0, 0
    for _, name, shape in tensors(layers):
        table += text_of(name) + struct.pack("<I", len(shape))
        for d in reversed(shape):
            table += struct.pack("<Q", d)
        table += struct.pack("<IQ", F32 if len(shape) == 1 else kind, at)
        at += (size_of(kind, shape) + 63) & ~63
        n += 1
    head = b"GGUF" + struct.pack("<IQQ", 3, n, n_meta) + meta + table
    with open(path, "wb") as f:
        f.write(head + b"\0" * (-len(head) % 64))
        for _, _, shape in tensors(layers):
            size = size_of(kind, shape)
            if len(shape) == 1:
                f.write(struct.pack("<f", 1.0) * shape[0])
            else:
                write_numbers(f, source, blocks, size)
            f.write(b"\0" * (-size % 64))
