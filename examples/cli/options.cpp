#include "options.h"

#include <algorithm>
#include <iterator>
#include <limits>

#include "numbers.h"

namespace cli {
namespace {

struct KvName {
    const char* name;
    int32_t type;
};
constexpr KvName kKvNames[] = {
    {"f16", PUNA_KV_F16}, {"f32", PUNA_KV_F32}, {"bf16", PUNA_KV_BF16}, {"q8_0", PUNA_KV_Q8_0}};

void add_kv_type(CommandLine& line, const std::string& name, int32_t& type,
                 const std::string& help) {
    const auto take = [&type](const std::string& text) {
        for (const KvName& known : kKvNames) {
            if (text != known.name) continue;
            type = known.type;
            return;
        }
        throw InvalidValue("must be f16, f32, bf16 or q8_0, not '" + text + "'");
    };
    const auto is_default = [&type](const KvName& known) { return known.type == type; };
    const auto* preset = std::find_if(std::begin(kKvNames), std::end(kKvNames), is_default);
    line.value(name, take, "TYPE", preset->name, help);
}

constexpr std::string_view kKernelSets[] = {"scalar", "avx2",        "avx2_vnni",
                                            "avx512", "avx512_gfni", "avx512_bf16",
                                            "amx",    "neon",        "neon_i8mm"};

// All that there are; what this build and this machine have of them the library says.
void add_kernels(CommandLine& line, std::string& kernels) {
    std::string names;
    for (const std::string_view name : kKernelSets) {
        if (!names.empty()) names += name == "avx512_gfni" ? ",\n" : ", ";
        names += name;
    }
    const auto take = [&kernels](const std::string& text) {
        const auto* found = std::find(std::begin(kKernelSets), std::end(kKernelSets), text);
        if (found == std::end(kKernelSets)) {
            throw InvalidValue("there are no kernels '" + text + "'");
        }
        kernels = text;
    };
    line.value("--kernels", take, "NAME", "",
               "CPU kernels: " + names + ".\nDefault: the best for this machine");
}

void add_gpu_layers(CommandLine& line, int32_t& n_layers) {
    const auto take = [&n_layers](const std::string& text) {
        if (text == "all") {
            n_layers = PUNA_GPU_LAYERS_ALL;
        } else if (!read_number(text, n_layers)) {
            throw InvalidValue("must be a number of layers or 'all', not '" + text + "'");
        }
    };
    line.value("--gpu-layers", take, "N", "0", "Layers to run on the GPU; -1 or all: all of them");
}

puna_logit_bias parse_bias(const std::string& text) {
    const size_t colon = text.find(':');
    puna_logit_bias bias{};
    if (colon == text.npos || !read_number(std::string_view(text).substr(0, colon), bias.token) ||
        !read_number(std::string_view(text).substr(colon + 1), bias.bias) || bias.token < 0 ||
        !(bias.bias < std::numeric_limits<float>::infinity())) {
        throw InvalidValue("must be a token id, ':' and a number or -inf, not '" + text + "'");
    }
    return bias;
}

void add_penalties(CommandLine& line, puna::GenerationOptions& options) {
    constexpr double kAny = std::numeric_limits<float>::max();
    line.number("--repeat-penalty", options.repeat_penalty, 0,
                "Divide the odds of the last 64 tokens; 1: off");
    line.number("--presence-penalty", options.presence_penalty, -kAny,
                "Subtract this once from tokens among them; 0: off");
    line.number("--frequency-penalty", options.frequency_penalty, -kAny,
                "Subtract this for each time they occur; 0: off");
}

}  // namespace

SamplingOptions::SamplingOptions() {
    generation.temperature = 0.8f;
    generation.top_k = 40;
    generation.top_p = 0.95f;
    generation.min_p = 0.05f;
    generation.typical_p = 1;
    generation.repeat_penalty = 1;
}

void add_model(CommandLine& line, std::string& model) {
    line.text("MODEL", model, "",
              "The model: path of a GGUF file; hf:OWNER/REPO/FILE or\nhf:OWNER/REPO:Q4_K_M, taken "
              "from Hugging Face; demo")
        .required();
}

void add_engine_options(CommandLine& line, EngineOptions& options) {
    line.group("Speed and memory");
    line.number("--threads", options.n_threads, 0, PUNA_MAX_THREADS,
                "Threads; 0: one per physical core");
    line.number("--batch", options.n_batch, 1, PUNA_MAX_BATCH,
                "Tokens of the prompt to evaluate together");
    add_gpu_layers(line, options.n_gpu_layers);
    line.flag("--no-mmap", options.no_mmap,
              "Read the file into memory of its own instead of mapping it:\nslower to load, faster "
              "to generate on systems that map files\nin small pages");
    add_kernels(line, options.kernels);
    line.flag(
        "--deterministic", options.deterministic,
        "The same bits whatever is evaluated together: --batch, and what a\nformer text left in "
        "the cache; long prompts take several times as long");
    add_kv_type(line, "--kv-type-k", options.kv_type_k,
                "Numbers of the cached keys: f32, f16, bf16,\nor q8_0 in half the memory of f16");
    add_kv_type(line, "--kv-type-v", options.kv_type_v, "Numbers of the cached values");
}

void add_sampling_options(CommandLine& line, SamplingOptions& options) {
    puna::GenerationOptions& generation = options.generation;
    line.group("Length");
    line.number("-n,--n-predict", options.n_predict, -1,
                "Tokens to generate at most; -1: until the model\n"
                "ends its text or the context is full");
    line.texts(
        "--stop",
        [&generation](const std::string& text) {
            if (text.empty()) throw InvalidValue("must not be empty");
            generation.stop.push_back(text);
        },
        "STR...", "End where one of these occurs in the text; it is\nnot printed");

    line.group("Choice of tokens, in this order");
    line.texts(
        "--logit-bias",
        [&generation](const std::string& text) { generation.bias.push_back(parse_bias(text)); },
        "ID:V...", "Add V to the logit of token ID; -inf bans it");
    add_penalties(line, generation);
    line.number("--top-k", generation.top_k, 0, "Keep the N likeliest tokens; 0: all");
    line.number("--typical-p", generation.typical_p, 0, 1,
                "Keep tokens of typical surprise, up to this\nprobability; 0 or 1: off");
    line.number("--top-p", generation.top_p, 0, 1,
                "Keep the likeliest up to this probability; 0 or 1:\nall");
    line.number("--min-p", generation.min_p, 0, 1,
                "Drop tokens below this share of the likeliest;\n0: none");
    line.number("--temperature,--temp", generation.temperature, 0,
                "Higher is more surprising; 0: always the likeliest");
    line.number("--mirostat", generation.mirostat, 0, 2,
                "1 or 2: this version of Mirostat takes the place of\n"
                "the five above; 0: off");
    line.number("--seed", generation.seed, 0, std::numeric_limits<uint32_t>::max(),
                "The same seed gives the same text; 0: a random one");
}

void add_tokenize_options(CommandLine& line, TokenizeOptions& options) {
    line.flag("--no-bos", options.no_bos, "Add no token for the beginning (or end) of the text");
    line.flag("--no-special", options.no_special,
              "Take \"</s>\" and the like as plain text, not as the\ncontrol token");
}

}  // namespace cli
