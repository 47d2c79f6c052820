#include "support/reference_file.h"

#include <cmath>
#include <fstream>
#include <iterator>
#include <map>
#include <stdexcept>
#include <vector>

#include "format/block_format.h"
#include "support/little_endian.h"

namespace puna::test {
namespace {

class Cursor {
  public:
    explicit Cursor(std::span<const uint8_t> file) : file_(file) {}

    template <class T>
    T number() {
        return load_little_endian<T>(bytes(sizeof(T)).data());
    }
    std::string text() {
        const auto characters = bytes(number<uint64_t>());
        return {characters.begin(), characters.end()};
    }
    std::span<const uint8_t> bytes(uint64_t count) {
        if (count > file_.size() - at_) throw std::runtime_error("the file ends too early");
        at_ += static_cast<size_t>(count);
        return file_.subspan(at_ - static_cast<size_t>(count), static_cast<size_t>(count));
    }
    size_t position() const { return at_; }

  private:
    std::span<const uint8_t> file_;
    size_t at_ = 0;
};

struct Tensor {
    std::vector<uint64_t> shape;
    core::BlockFormat format;
    uint64_t offset;
};

struct Contents {
    std::map<std::string, double> numbers;
    std::map<std::string, std::string> texts;
    std::map<std::string, Tensor> tensors;
    std::span<const uint8_t> data;
};

// GGUF's value types.
enum ValueType : uint32_t { kString = 8, kArray = 9 };

double read_number(Cursor& cursor, uint32_t type) {
    switch (type) {
        case 0:
            return cursor.number<uint8_t>();
        case 1:
            return cursor.number<int8_t>();
        case 2:
            return cursor.number<uint16_t>();
        case 3:
            return cursor.number<int16_t>();
        case 4:
            return cursor.number<uint32_t>();
        case 5:
            return cursor.number<int32_t>();
        case 6:
            return cursor.number<float>();
        case 7:
            return cursor.number<uint8_t>();
        case 10:
            return static_cast<double>(cursor.number<uint64_t>());
        case 11:
            return static_cast<double>(cursor.number<int64_t>());
        case 12:
            return cursor.number<double>();
        default:
            throw std::runtime_error("value type " + std::to_string(type));
    }
}

// Arrays are passed over: no hyper-parameter that the reference needs is one.
void read_value(Cursor& cursor, const std::string& key, Contents& contents) {
    const uint32_t type = cursor.number<uint32_t>();
    if (type == kString) {
        contents.texts[key] = cursor.text();
    } else if (type == kArray) {
        const uint32_t element_type = cursor.number<uint32_t>();
        for (uint64_t left = cursor.number<uint64_t>(); left > 0; --left) {
            if (element_type == kString) {
                cursor.text();
            } else {
                read_number(cursor, element_type);
            }
        }
    } else {
        contents.numbers[key] = read_number(cursor, type);
    }
}

Contents read_contents(std::span<const uint8_t> file) {
    Cursor cursor(file);
    Contents contents;
    if (cursor.number<uint32_t>() != 0x46554747u) throw std::runtime_error("not a GGUF file");
    const uint32_t version = cursor.number<uint32_t>();
    if (version != 2 && version != 3) throw std::runtime_error("not GGUF version 2 or 3");
    const uint64_t n_tensors = cursor.number<uint64_t>();
    const uint64_t n_keys = cursor.number<uint64_t>();
    for (uint64_t i = 0; i < n_keys; ++i) {
        const std::string key = cursor.text();
        read_value(cursor, key, contents);
    }
    for (uint64_t i = 0; i < n_tensors; ++i) {
        Tensor& tensor = contents.tensors[cursor.text()];
        tensor.shape.resize(cursor.number<uint32_t>());
        for (uint64_t& length : tensor.shape) length = cursor.number<uint64_t>();
        tensor.format = static_cast<core::BlockFormat>(cursor.number<uint32_t>());
        tensor.offset = cursor.number<uint64_t>();
    }
    const auto found = contents.numbers.find("general.alignment");
    const auto alignment =
        found == contents.numbers.end() ? size_t{32} : static_cast<size_t>(found->second);
    const size_t padding = (alignment - cursor.position() % alignment) % alignment;
    contents.data = file.subspan(cursor.position());
    if (!contents.tensors.empty()) contents.data = contents.data.subspan(padding);
    return contents;
}

// Builds a ReferenceModel from the contents, by the names that the family uses.
class ModelBuilder {
  public:
    explicit ModelBuilder(const Contents& contents) : contents_(contents) {}

    ReferenceModel build() const {
        ReferenceModel model;
        model.n_embd = size("embedding_length");
        model.n_head = size("attention.head_count");
        model.n_head_kv = size("attention.head_count_kv", model.n_head);
        model.key_dim = size("attention.key_length", model.n_embd / model.n_head);
        model.value_dim = size("attention.value_length", model.n_embd / model.n_head);
        model.eps = number("attention.layer_norm_rms_epsilon");
        model.rope_frequencies = rope_frequencies(model.key_dim);
        const ReferenceLinear embedding = linear("token_embd");
        model.token_embedding = embedding.weight;
        for (size_t i = 0; i < size("block_count"); ++i) {
            model.layers.push_back(layer("blk." + std::to_string(i) + "."));
        }
        model.output_norm = values("output_norm.weight");
        model.output = has("output.weight") ? linear("output") : embedding;
        return model;
    }

  private:
    double number(const std::string& key) const {
        const auto found = contents_.numbers.find("llama." + key);
        if (found == contents_.numbers.end()) throw std::runtime_error("no key llama." + key);
        return found->second;
    }
    double number(const std::string& key, double otherwise) const {
        return contents_.numbers.count("llama." + key) != 0 ? number(key) : otherwise;
    }
    size_t size(const std::string& key) const { return static_cast<size_t>(number(key)); }
    size_t size(const std::string& key, size_t otherwise) const {
        return static_cast<size_t>(number(key, static_cast<double>(otherwise)));
    }

    bool has(const std::string& name) const { return contents_.tensors.count(name) != 0; }
    const Tensor& tensor(const std::string& name) const {
        const auto found = contents_.tensors.find(name);
        if (found == contents_.tensors.end()) throw std::runtime_error("no tensor " + name);
        return found->second;
    }
    std::vector<float> values(const std::string& name) const {
        const Tensor& found = tensor(name);
        size_t n_values = 1;
        for (const uint64_t length : found.shape) n_values *= static_cast<size_t>(length);
        Cursor cursor(contents_.data);
        cursor.bytes(found.offset);
        const auto n_bytes = core::block_format_bytes(found.format, n_values);
        if (!n_bytes) throw std::runtime_error(name + ": no whole blocks");
        std::vector<float> numbers(n_values);
        const core::Status status =
            core::dequantize_row(found.format, cursor.bytes(*n_bytes).data(), numbers.data(),
                                 static_cast<int64_t>(n_values));
        if (!status.ok()) throw std::runtime_error(name + ": " + status.text());
        return numbers;
    }
    ReferenceLinear linear(const std::string& name) const {
        const std::vector<uint64_t>& shape = tensor(name + ".weight").shape;
        ReferenceLinear linear;
        linear.n_in = static_cast<size_t>(shape.at(0));
        linear.n_out = static_cast<size_t>(shape.at(1));
        linear.weight = values(name + ".weight");
        if (has(name + ".bias")) linear.bias = values(name + ".bias");
        return linear;
    }
    ReferenceLayer layer(const std::string& prefix) const {
        ReferenceLayer layer;
        layer.attn_norm = values(prefix + "attn_norm.weight");
        layer.q = linear(prefix + "attn_q");
        layer.k = linear(prefix + "attn_k");
        layer.v = linear(prefix + "attn_v");
        layer.attn_output = linear(prefix + "attn_output");
        layer.ffn_norm = values(prefix + "ffn_norm.weight");
        layer.gate = linear(prefix + "ffn_gate");
        layer.up = linear(prefix + "ffn_up");
        layer.down = linear(prefix + "ffn_down");
        return layer;
    }

    // base^(-2i / rope_dim), divided by the factor of linear scaling and by the file's divisors.
    std::vector<double> rope_frequencies(size_t key_dim) const {
        const size_t rope_dim = size("rope.dimension_count", key_dim);
        const double base = number("rope.freq_base", 10000.0);
        const auto type = contents_.texts.find("llama.rope.scaling.type");
        const bool scaled = type != contents_.texts.end() && type->second == "linear";
        const double factor = scaled ? number("rope.scaling.factor") : 1.0;
        std::vector<float> divisors(rope_dim / 2, 1.0f);
        if (has("rope_freqs.weight")) divisors = values("rope_freqs.weight");
        std::vector<double> frequencies;
        for (size_t pair = 0; pair < rope_dim / 2; ++pair) {
            const double exponent =
                -2.0 * static_cast<double>(pair) / static_cast<double>(rope_dim);
            frequencies.push_back(std::pow(base, exponent) / factor / divisors.at(pair));
        }
        return frequencies;
    }

    const Contents& contents_;
};

}  // namespace

ReferenceModel read_reference(std::span<const uint8_t> file) {
    const Contents contents = read_contents(file);
    return ModelBuilder(contents).build();
}

ReferenceModel read_reference(const ModelFile& file) {
    return read_reference(file.bytes());
}

ReferenceModel load_reference(const std::string& path) {
    std::ifstream file(path, std::ios::binary);
    if (!file) throw std::runtime_error(path + ": cannot be read");
    const std::vector<char> bytes{std::istreambuf_iterator<char>(file), {}};
    return read_reference({reinterpret_cast<const uint8_t*>(bytes.data()), bytes.size()});
}

}  // namespace puna::test
