#include "format/gguf_writer.h"

#include <algorithm>
#include <cinttypes>

#include "base/checked.h"
#include "base/file_writer.h"
#include "format/byte_order.h"
#include "format/split_name.h"

namespace puna::core {

namespace {

constexpr uint32_t kVersion = 3;
constexpr size_t kMaxTensorName = 63;  // what other readers of the format accept
constexpr size_t kPieceBytes = 4 << 20;

template <class T>
void append(std::vector<std::byte>& bytes, T value) {
    const size_t at = bytes.size();
    bytes.resize(at + sizeof value);
    store_le(bytes.data() + at, value);
}

void append(std::vector<std::byte>& bytes, std::span<const std::byte> more) {
    bytes.insert(bytes.end(), more.begin(), more.end());
}

void append_string(std::vector<std::byte>& bytes, std::string_view text) {
    append(bytes, static_cast<uint64_t>(text.size()));
    append(bytes, std::as_bytes(std::span(text)));
}

void append_type(std::vector<std::byte>& bytes, GgufType type) {
    append(bytes, static_cast<uint32_t>(type));
}

void append_array(std::vector<std::byte>& bytes, GgufType element_type, uint64_t count) {
    append_type(bytes, GgufType::kArray);
    append_type(bytes, element_type);
    append(bytes, count);
}

uint64_t padded(uint64_t n_bytes) {
    constexpr uint64_t kMask = GgufWriter::kAlignment - 1;
    return (n_bytes + kMask) & ~kMask;
}

}  // namespace

std::vector<std::byte>& GgufWriter::value_of(std::string_view key) {
    const auto found = std::find_if(values_.begin(), values_.end(),
                                    [key](const Value& value) { return value.key == key; });
    if (found == values_.end()) return values_.emplace_back(Value{std::string(key), {}}).bytes;
    found->bytes.clear();
    return found->bytes;
}

template <class T>
void GgufWriter::set_number(std::string_view key, GgufType type, T value) {
    std::vector<std::byte>& bytes = value_of(key);
    append_type(bytes, type);
    append(bytes, value);
}

template <class T>
void GgufWriter::set_numbers(std::string_view key, GgufType type, std::span<const T> values) {
    std::vector<std::byte>& bytes = value_of(key);
    append_array(bytes, type, values.size());
    for (const T value : values) append(bytes, value);
}

// Every T the header's inline setters use.
template void GgufWriter::set_number(std::string_view, GgufType, uint8_t);
template void GgufWriter::set_number(std::string_view, GgufType, uint16_t);
template void GgufWriter::set_number(std::string_view, GgufType, uint32_t);
template void GgufWriter::set_number(std::string_view, GgufType, int32_t);
template void GgufWriter::set_number(std::string_view, GgufType, float);
template void GgufWriter::set_numbers(std::string_view, GgufType, std::span<const float>);
template void GgufWriter::set_numbers(std::string_view, GgufType, std::span<const int32_t>);

void GgufWriter::set_string(std::string_view key, std::string_view value) {
    std::vector<std::byte>& bytes = value_of(key);
    append_type(bytes, GgufType::kString);
    append_string(bytes, value);
}

void GgufWriter::set_strings(std::string_view key, std::span<const std::string> values) {
    std::vector<std::byte>& bytes = value_of(key);
    append_array(bytes, GgufType::kString, values.size());
    for (const std::string& value : values) append_string(bytes, value);
}

void GgufWriter::copy(const GgufEntry& entry) {
    std::vector<std::byte>& bytes = value_of(entry.key);
    if (entry.type == GgufType::kString) {
        append_type(bytes, entry.type);
        append_string(bytes, entry.text());
        return;
    }
    if (entry.type == GgufType::kArray) {
        append_array(bytes, entry.element_type, entry.count);
    } else {
        append_type(bytes, entry.type);
    }
    append(bytes, entry.bytes);
}

Status GgufWriter::add_tensor(std::string_view name, BlockFormat format,
                              std::span<const uint64_t> shape) {
    const auto refuse = [name](const char* why) {
        return make_status(PUNA_ERROR_ARGUMENT, "tensor '%.*s': %s", static_cast<int>(name.size()),
                           name.data(), why);
    };
    if (name.empty() || name.size() > kMaxTensorName) {
        return refuse("the name must have 1 to 63 bytes");
    }
    if (tensor_names_.contains(std::string(name))) return refuse("there is one of this name");
    if (shape.empty() || shape.size() > 4) return refuse("must have 1 to 4 dimensions");

    Tensor tensor{std::string(name), format, static_cast<uint32_t>(shape.size()),
                  {1, 1, 1, 1},      1,      0};
    for (size_t i = 0; i < shape.size(); ++i) {
        tensor.ne[i] = shape[i];
        if (shape[i] == 0 || !checked_mul(tensor.n_elements, shape[i], &tensor.n_elements)) {
            return refuse("has no elements, or too many");
        }
    }
    const auto row_bytes = block_format_bytes(format, tensor.ne[0]);
    if (!row_bytes) {
        return make_status(
            PUNA_ERROR_ARGUMENT, "tensor '%.*s': rows of %" PRIu64 " do not divide into %s blocks",
            static_cast<int>(name.size()), name.data(), tensor.ne[0], block_format_name(format));
    }
    if (!checked_mul(*row_bytes, tensor.n_elements / tensor.ne[0], &tensor.n_bytes)) {
        return refuse("has too many elements");
    }
    tensor_names_.insert(tensor.name);
    tensors_.push_back(std::move(tensor));
    return {};
}

uint64_t GgufWriter::data_bytes() const {
    uint64_t n_bytes = 0;
    for (const Tensor& tensor : tensors_) n_bytes += tensor.n_bytes;
    return n_bytes;
}

std::vector<GgufWriter::Part> GgufWriter::parts(uint64_t part_bytes) const {
    std::vector<Part> parts(1);
    uint64_t n_bytes = 0;
    for (const Tensor& tensor : tensors_) {
        if (part_bytes != 0 && n_bytes != 0 && tensor.n_bytes > part_bytes - n_bytes) {
            parts.push_back({parts.back().first + parts.back().count, 0});
            n_bytes = 0;
        }
        ++parts.back().count;
        n_bytes = std::min(n_bytes + tensor.n_bytes, part_bytes != 0 ? part_bytes : UINT64_MAX);
    }
    return parts;
}

// All up to the tensor data, padding included.
std::vector<std::byte> GgufWriter::header(std::span<const Tensor> tensors) const {
    std::vector<std::byte> bytes;
    append(bytes, std::as_bytes(std::span("GGUF", 4)));
    append(bytes, kVersion);
    append(bytes, static_cast<uint64_t>(tensors.size()));
    append(bytes, static_cast<uint64_t>(values_.size()));
    for (const Value& value : values_) {
        append_string(bytes, value.key);
        append(bytes, std::span<const std::byte>(value.bytes));
    }
    uint64_t offset = 0;
    for (const Tensor& tensor : tensors) {
        append_string(bytes, tensor.name);
        append(bytes, tensor.n_dims);
        for (uint32_t i = 0; i < tensor.n_dims; ++i) append(bytes, tensor.ne[i]);
        append(bytes, static_cast<uint32_t>(tensor.format));
        append(bytes, offset);
        offset += padded(tensor.n_bytes);
    }
    bytes.resize(static_cast<size_t>(padded(bytes.size())));
    return bytes;
}

Status GgufWriter::write_part(const Part& part, const std::vector<std::byte>& header,
                              FileWriter& file, const Fill& fill) const {
    PUNA_TRY(file.append(header));
    std::vector<std::byte> piece;
    for (const Tensor& tensor : std::span(tensors_).subspan(part.first, part.count)) {
        const size_t block_bytes = block_format_info(tensor.format).block_bytes;
        const size_t piece_bytes = kPieceBytes / block_bytes * block_bytes;
        for (uint64_t done = 0; done < tensor.n_bytes; done += piece.size()) {
            piece.resize(
                static_cast<size_t>(std::min<uint64_t>(piece_bytes, tensor.n_bytes - done)));
            PUNA_TRY(fill(tensor, piece));
            PUNA_TRY(file.append(piece));
        }
        piece.assign(static_cast<size_t>(padded(tensor.n_bytes) - tensor.n_bytes), std::byte{});
        PUNA_TRY(file.append(piece));
    }
    return {};
}

Result<uint32_t> GgufWriter::write(const std::string& path, uint64_t part_bytes,
                                   const Fill& fill) const {
    const std::vector<Part> all = parts(part_bytes);
    if (all.size() > kMaxParts) {
        return make_status(PUNA_ERROR_ARGUMENT,
                           "%s: %zu parts of %" PRIu64 " bytes, %" PRIu32 " are the most",
                           path.c_str(), all.size(), part_bytes, kMaxParts);
    }
    const auto n_parts = static_cast<uint32_t>(all.size());
    const SplitName names = split_name(path, n_parts);
    GgufWriter rest;  // what the parts after the first say
    std::vector<FileWriter> files;
    for (uint32_t i = 0; i < n_parts; ++i) {
        GgufWriter head = i == 0 ? *this : rest;
        if (n_parts > 1) {
            head.set_u16("split.no", static_cast<uint16_t>(i));
            head.set_u16("split.count", static_cast<uint16_t>(n_parts));
            head.set_i32("split.tensors.count", static_cast<int32_t>(tensors_.size()));
        }
        const auto tensors = std::span(tensors_).subspan(all[i].first, all[i].count);
        PUNA_TRY_ASSIGN(FileWriter file,
                        FileWriter::create(n_parts == 1 ? path : names.path_of_part(i + 1)));
        PUNA_TRY(write_part(all[i], head.header(tensors), file, fill));
        files.push_back(std::move(file));
    }
    for (FileWriter& file : files) PUNA_TRY(file.commit());
    return n_parts;
}

}  // namespace puna::core
