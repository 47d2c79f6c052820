#include "support/model_file.h"

#include <algorithm>
#include <fstream>
#include <stdexcept>
#include <utility>

#include "support/little_endian.h"

namespace puna::test {
namespace {

constexpr uint32_t kArrayType = 9;
static_assert(std::is_same_v<std::variant_alternative_t<kArrayType, MetadataValue>, MetadataArray>);

template <class Bytes, class T>
void append_value(Bytes& out, const T& value) {
    append_little_endian(out, value);
}

template <class Bytes>
void append_text(Bytes& out, std::string_view text) {
    append_little_endian(out, static_cast<uint64_t>(text.size()));
    out.insert(out.end(), text.begin(), text.end());
}

void append_value(std::vector<uint8_t>& out, const std::string& text) {
    append_text(out, text);
}

void append_value(std::vector<uint8_t>& out, const MetadataArray& array) {
    append_little_endian(out, static_cast<uint32_t>(array.index()));
    std::visit(
        [&out]<class Values>(const Values& values) {
            if constexpr (std::is_same_v<Values, std::monostate>) {
                throw std::invalid_argument("arrays of arrays: write them with set_raw");
            } else {
                append_little_endian(out, static_cast<uint64_t>(values.size()));
                for (const typename Values::value_type& value : values) append_value(out, value);
            }
        },
        array);
}

}  // namespace

ModelFile::Entry& ModelFile::entry_named(std::vector<Entry>& entries, std::string_view name) {
    const auto found = std::find_if(entries.begin(), entries.end(),
                                    [&](const Entry& entry) { return entry.name == name; });
    if (found != entries.end()) return *found;
    return entries.emplace_back(Entry{std::string(name), 0, {}, {}});
}

bool ModelFile::contains(const std::vector<Entry>& entries, std::string_view name) {
    return std::any_of(entries.begin(), entries.end(),
                       [&](const Entry& entry) { return entry.name == name; });
}

void ModelFile::remove(std::vector<Entry>& entries, std::string_view name) {
    if (std::erase_if(entries, [&](const Entry& entry) { return entry.name == name; }) == 0) {
        throw std::invalid_argument("there is no '" + std::string(name) + "' to remove");
    }
}

void ModelFile::set_alignment(uint32_t alignment) {
    if (alignment == 0) throw std::invalid_argument("alignment 0");
    alignment_ = alignment;
    set("general.alignment", alignment);
}

void ModelFile::set(std::string_view key, const MetadataValue& value) {
    std::vector<uint8_t> bytes;
    std::visit([&bytes](const auto& alternative) { append_value(bytes, alternative); }, value);
    set_raw(key, static_cast<uint32_t>(value.index()), std::move(bytes));
}

void ModelFile::set_raw(std::string_view key, uint32_t type, std::vector<uint8_t> bytes) {
    Entry& entry = entry_named(metadata_, key);
    entry.type = type;
    entry.bytes = std::move(bytes);
}

bool ModelFile::has(std::string_view key) const {
    return contains(metadata_, key);
}

void ModelFile::erase(std::string_view key) {
    remove(metadata_, key);
}

void ModelFile::add_tensor(std::string_view name, std::vector<uint64_t> shape,
                           std::span<const float> values, Encoding encoding) {
    uint64_t n_values = 1;
    for (const uint64_t length : shape) n_values *= length;
    if (shape.empty() || n_values != values.size() || shape[0] % block_length(encoding) != 0) {
        throw std::invalid_argument("tensor '" + std::string(name) + "': " +
                                    std::to_string(values.size()) + " values do not fit the shape");
    }
    add_raw_tensor(name, std::move(shape), static_cast<uint32_t>(encoding),
                   encode(encoding, values));
}

void ModelFile::add_raw_tensor(std::string_view name, std::vector<uint64_t> shape, uint32_t type,
                               std::vector<uint8_t> bytes) {
    Entry& tensor = entry_named(tensors_, name);
    tensor.type = type;
    tensor.shape = std::move(shape);
    tensor.bytes = std::move(bytes);
}

bool ModelFile::has_tensor(std::string_view name) const {
    return contains(tensors_, name);
}

void ModelFile::erase_tensor(std::string_view name) {
    remove(tensors_, name);
}

void ModelFile::rename_tensor(std::string_view from, std::string_view to) {
    if (!has_tensor(from) || has_tensor(to)) {
        throw std::invalid_argument("cannot rename '" + std::string(from) + "'");
    }
    entry_named(tensors_, from).name = to;
}

// Everything before the tensor data, padded.
AlignedBytes ModelFile::header() const {
    AlignedBytes out = {'G', 'G', 'U', 'F'};
    append_little_endian(out, version_);
    append_little_endian(out, static_cast<uint64_t>(tensors_.size()));
    append_little_endian(out, static_cast<uint64_t>(metadata_.size()));
    for (const Entry& entry : metadata_) {
        append_text(out, entry.name);
        append_little_endian(out, entry.type);
        out.insert(out.end(), entry.bytes.begin(), entry.bytes.end());
    }
    uint64_t offset = 0;
    for (const Entry& tensor : tensors_) {
        append_text(out, tensor.name);
        append_little_endian(out, static_cast<uint32_t>(tensor.shape.size()));
        for (const uint64_t length : tensor.shape) append_little_endian(out, length);
        append_little_endian(out, tensor.type);
        append_little_endian(out, offset);
        offset += padded(tensor.bytes.size());
    }
    out.resize(padded(out.size()));
    return out;
}

AlignedBytes ModelFile::bytes() const {
    AlignedBytes out = header();
    for (const Entry& tensor : tensors_) {
        out.insert(out.end(), tensor.bytes.begin(), tensor.bytes.end());
        out.resize(padded(out.size()));
    }
    return out;
}

void ModelFile::save(const std::string& path) const {
    std::ofstream file(path, std::ios::binary | std::ios::trunc);
    const auto write = [&file](const auto& part) {
        file.write(reinterpret_cast<const char*>(part.data()),
                   static_cast<std::streamsize>(part.size()));
    };
    write(header());
    for (const Entry& tensor : tensors_) {
        write(tensor.bytes);
        write(std::string(padded(tensor.bytes.size()) - tensor.bytes.size(), '\0'));
    }
    file.close();
    if (!file) throw std::runtime_error(path + ": cannot be written");
}

}  // namespace puna::test
