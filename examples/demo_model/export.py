"""GGUF files of the trained model: F16, which is the model itself, and Q8_0, which ships."""

import gguf
import jax
import numpy

NAMES = {"attn_norm": "attn_norm", "q": "attn_q", "k": "attn_k", "v": "attn_v", "o": "attn_output",
         "ffn_norm": "ffn_norm", "gate": "ffn_gate", "up": "ffn_up", "down": "ffn_down"}

# Zephyr's, as TinyLlama's chat models have it.
CHAT_TEMPLATE = """\
{%- for message in messages %}
{{- '\\n' if not loop.first else '' }}
{{- '<|' + message['role'] + '|>\\n' + message['content'] + eos_token }}
{%- endfor %}
{%- if add_generation_prompt %}
{{- '\\n<|assistant|>\\n' }}
{%- endif %}"""


def rounded(parameters):
    """The parameters with matrices as F16 holds them. This is the model; norms stay as they are."""
    return {name: value if value.ndim == 1 else value.astype(numpy.float16).astype(numpy.float32)
            for name, value in parameters.items()}


def tensors(parameters):
    """(GGUF's name, values with the rows of GGUF)"""
    for name, value in parameters.items():
        value = numpy.asarray(value)
        if name == "embedding":
            yield "token_embd.weight", value
        elif name in ("output", "output_norm"):
            yield f"{name}.weight", value
        else:
            layer, part = name.split(".")
            yield f"blk.{layer}.{NAMES[part]}.weight", numpy.ascontiguousarray(value.T)


def parameters_of(path):
    """The parameters, as float32, of a file that `write` wrote."""
    parts = {ours: theirs for theirs, ours in NAMES.items()}
    parameters = {}
    for tensor in gguf.GGUFReader(path).tensors:
        value = gguf.quants.dequantize(tensor.data, tensor.tensor_type).astype(numpy.float32)
        words = tensor.name.split(".")
        if words[0] == "blk":
            parameters[f"{words[1]}.{parts[words[2]]}"] = value.T
        else:
            parameters["embedding" if words[0] == "token_embd" else words[0]] = value
    return jax.tree.map(numpy.ascontiguousarray, parameters)


def write_hyperparameters(writer, config, n_parameters):
    writer.add_name("puna demo")
    writer.add_basename("puna-demo")
    writer.add_version("1")
    writer.add_description("A small model for trying out puna: it tells short stories and answers "
                           "simple questions. Trained from scratch on text made for it.")
    writer.add_author("the authors of puna")
    writer.add_license("mit")
    writer.add_languages(["en"])
    writer.add_size_label(f"{n_parameters / 1e6:.1f}M")
    writer.add_vocab_size(config.n_vocab)
    writer.add_context_length(config.n_ctx)
    writer.add_embedding_length(config.n_embd)
    writer.add_block_count(config.n_layer)
    writer.add_feed_forward_length(config.n_ff)
    writer.add_head_count(config.n_head)
    writer.add_head_count_kv(config.n_head_kv)
    writer.add_rope_dimension_count(config.head_size)
    writer.add_rope_freq_base(config.rope_base)
    writer.add_layer_norm_rms_eps(config.norm_epsilon)


def token_type(tokenizer, token):
    for holds, kind in ((tokenizer.is_unknown, gguf.TokenType.UNKNOWN),
                        (tokenizer.is_control, gguf.TokenType.CONTROL),
                        (tokenizer.is_byte, gguf.TokenType.BYTE)):
        if holds(token):
            return kind
    return gguf.TokenType.NORMAL


def write_tokenizer(writer, tokenizer):
    tokens = range(tokenizer.vocab_size())
    writer.add_tokenizer_model("llama")
    writer.add_tokenizer_pre("default")
    writer.add_token_list([tokenizer.id_to_piece(token).encode() for token in tokens])
    writer.add_token_scores([tokenizer.get_score(token) for token in tokens])
    writer.add_token_types([token_type(tokenizer, token) for token in tokens])
    writer.add_bos_token_id(tokenizer.bos_id())
    writer.add_eos_token_id(tokenizer.eos_id())
    writer.add_unk_token_id(tokenizer.unk_id())
    writer.add_add_bos_token(True)
    writer.add_add_eos_token(False)
    writer.add_add_space_prefix(True)
    writer.add_chat_template(CHAT_TEMPLATE)


def write(path, parameters, config, tokenizer, block_format):
    """block_format: a gguf.GGMLQuantizationType for the matrices; norms are F32."""
    writer = gguf.GGUFWriter(path, "llama")
    write_hyperparameters(writer, config, sum(value.size for value in parameters.values()))
    writer.add_file_type({gguf.GGMLQuantizationType.F16: gguf.LlamaFileType.MOSTLY_F16,
                          gguf.GGMLQuantizationType.Q8_0: gguf.LlamaFileType.MOSTLY_Q8_0}
                         [block_format])
    write_tokenizer(writer, tokenizer)
    for name, value in tensors(parameters):
        if value.ndim == 1:
            writer.add_tensor(name, value.astype(numpy.float32))
        else:
            writer.add_tensor(name, gguf.quants.quantize(value.astype(numpy.float32), block_format),
                              raw_dtype=block_format)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
