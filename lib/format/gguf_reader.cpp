#include "format/gguf_reader.h"

#include <algorithm>
#include <bit>
#include <cinttypes>
#include <cstring>
#include <memory>
#include <numeric>
#include <utility>

#include "base/checked.h"

namespace puna::core {

namespace {

constexpr uint64_t kMaxKeys = 65536;
constexpr uint64_t kMaxTensors = 65536;
constexpr uint64_t kMaxKeyLength = 65535;
constexpr uint64_t kMaxTensorNameLength = 64;
constexpr uint32_t kDefaultAlignment = 32;
constexpr uint32_t kMinAlignment = 8;
constexpr uint32_t kMaxAlignment = 4096;

// The fewest bytes that a key or a tensor can take: empty names, the smallest value, one dimension.
constexpr uint64_t kMinKeyBytes = 8 + 4 + 1;
constexpr uint64_t kMinTensorBytes = 8 + 4 + 8 + 4 + 8;

Status check_bools(std::span<const std::byte> bytes) {
    for (const std::byte b : bytes) {
        if (b > std::byte{1}) {
            return make_status(PUNA_ERROR_FORMAT, "a bool has the value %u",
                               std::to_integer<unsigned>(b));
        }
    }
    return {};
}

// Indices of `items` sorted by what `field` makes of them.
template <class Items, class Field>
std::vector<uint32_t> sorted_by(const Items& items, Field field) {
    std::vector<uint32_t> order(items.size());
    std::iota(order.begin(), order.end(), 0u);
    std::sort(order.begin(), order.end(),
              [&](uint32_t a, uint32_t b) { return field(items[a]) < field(items[b]); });
    return order;
}

}  // namespace

// Fills a GgufHeader from a source. Failures carry the key or tensor; read_gguf adds the file.
class GgufParser {
  public:
    GgufParser(ByteSource& source, GgufHeader* header) : source_(source), header_(header) {}

    Status parse(const char* name) {
        header_->name_ = name;
        PUNA_TRY(read_prologue());
        PUNA_TRY(read_metadata());
        PUNA_TRY(read_alignment());
        PUNA_TRY(read_tensors());
        return place_tensors();
    }

  private:
    template <class T>
    Status read_number(T* out) {
        std::byte bytes[sizeof(T)];
        PUNA_TRY(source_.read(bytes, sizeof bytes));
        *out = load_le<T>(bytes);
        return {};
    }

    Status read_prologue();
    Status check_version(uint32_t version) const;
    Status check_count(const char* noun, uint64_t count, uint64_t cap, uint64_t min_bytes) const;
    Result<std::span<const std::byte>> take(uint64_t n_bytes);
    Result<std::string_view> read_name(const char* noun, uint64_t max_length);
    Status read_metadata();
    Status read_type(GgufType* out);
    Status read_value(GgufEntry* entry);
    Status read_array(GgufEntry* entry);
    Status measure_strings(uint64_t count, uint64_t* n_bytes);
    Status read_alignment();
    Status read_tensors();
    Status read_tensor(GgufTensor* tensor);
    Status read_dims(GgufTensor* tensor);
    Status place_tensors();
    Status check_overlap() const;

    ByteSource& source_;
    GgufHeader* header_;
    uint64_t n_tensors_ = 0;
    uint64_t n_keys_ = 0;
};

Status GgufParser::read_prologue() {
    uint8_t magic[4];
    PUNA_TRY(source_.read(magic, sizeof magic));
    if (std::memcmp(magic, "GGUF", sizeof magic) != 0) {
        return make_status(PUNA_ERROR_FORMAT,
                           "is not a GGUF file: it begins with bytes %02x %02x %02x %02x", magic[0],
                           magic[1], magic[2], magic[3]);
    }
    PUNA_TRY(read_number(&header_->version_));
    PUNA_TRY(check_version(header_->version_));
    PUNA_TRY(read_number(&n_tensors_));
    PUNA_TRY(read_number(&n_keys_));
    PUNA_TRY(check_count("tensors", n_tensors_, kMaxTensors, kMinTensorBytes));
    return check_count("keys", n_keys_, kMaxKeys, kMinKeyBytes);
}

Status GgufParser::check_version(uint32_t version) const {
    if (version == 2 || version == 3) return {};
    if (version != 0 && (version & 0xffff) == 0) {
        return make_status(PUNA_ERROR_FORMAT_VERSION,
                           "is a big-endian GGUF file (version word 0x%08" PRIx32
                           "); only little-endian ones are read",
                           version);
    }
    return make_status(PUNA_ERROR_FORMAT_VERSION,
                       "has GGUF version %" PRIu32 "; versions 2 and 3 are read", version);
}

Status GgufParser::check_count(const char* noun, uint64_t count, uint64_t cap,
                               uint64_t min_bytes) const {
    if (count > cap) {
        return make_status(PUNA_ERROR_FORMAT, "claims %" PRIu64 " %s; the limit is %" PRIu64, count,
                           noun, cap);
    }
    if (count > source_.remaining() / min_bytes) {
        return make_status(PUNA_ERROR_TRUNCATED,
                           "claims %" PRIu64 " %s; %" PRIu64 " bytes follow byte %" PRIu64, count,
                           noun, source_.remaining(), source_.position());
    }
    return {};
}

// The next bytes, in place where the source allows it, else in memory of the header. A claimed
// size is proven by the bytes that remain before anything is allocated.
Result<std::span<const std::byte>> GgufParser::take(uint64_t n_bytes) {
    PUNA_TRY(source_.require(n_bytes));
    if (n_bytes > SIZE_MAX) {
        return make_status(PUNA_ERROR_OUT_OF_MEMORY,
                           "%" PRIu64 " bytes at byte %" PRIu64 " exceed the address space",
                           n_bytes, source_.position());
    }
    const auto size = static_cast<size_t>(n_bytes);
    if (const std::byte* in_place = source_.view(size)) {
        PUNA_TRY(source_.skip(size));
        return std::span(in_place, size);
    }
    std::unique_ptr<std::byte[]> copy(new std::byte[size]);
    PUNA_TRY(source_.read(copy.get(), size));
    header_->owned_.push_back(std::move(copy));
    return std::span<const std::byte>(header_->owned_.back().get(), size);
}

Result<std::string_view> GgufParser::read_name(const char* noun, uint64_t max_length) {
    const uint64_t offset = source_.position();
    uint64_t length = 0;
    PUNA_TRY(read_number(&length));
    if (length > max_length) {
        return make_status(PUNA_ERROR_FORMAT,
                           "%s at byte %" PRIu64 " claims %" PRIu64 " bytes; the limit is %" PRIu64,
                           noun, offset, length, max_length);
    }
    PUNA_TRY_ASSIGN(const auto bytes, take(length));
    return std::string_view(reinterpret_cast<const char*>(bytes.data()), bytes.size());
}

Status GgufParser::read_metadata() {
    header_->entries_.reserve(static_cast<size_t>(n_keys_));
    for (uint64_t i = 0; i < n_keys_; ++i) {
        GgufEntry entry;
        entry.offset = source_.position();
        PUNA_TRY_ASSIGN(entry.key, read_name("a key", kMaxKeyLength));
        const Status status = read_value(&entry);
        if (!status.ok()) return status.within(GgufPlace("key", entry.key, entry.offset).text);
        header_->entries_.push_back(entry);
    }

    const auto& entries = header_->entries_;
    header_->entries_by_key_ = sorted_by(entries, [](const GgufEntry& entry) { return entry.key; });
    const auto& order = header_->entries_by_key_;
    const auto twin = std::adjacent_find(order.begin(), order.end(), [&](uint32_t a, uint32_t b) {
        return entries[a].key == entries[b].key;
    });
    if (twin == order.end()) return {};
    const auto [first, second] = std::minmax(entries[twin[0]].offset, entries[twin[1]].offset);
    return make_status(PUNA_ERROR_FORMAT, "the key stands at byte %" PRIu64 " already", first)
        .within(GgufPlace("key", entries[*twin].key, second).text);
}

Status GgufParser::read_type(GgufType* out) {
    uint32_t id = 0;
    PUNA_TRY(read_number(&id));
    if (id > static_cast<uint32_t>(GgufType::kFloat64)) {
        return make_status(PUNA_ERROR_FORMAT, "unknown value type %" PRIu32, id);
    }
    *out = static_cast<GgufType>(id);
    return {};
}

Status GgufParser::read_value(GgufEntry* entry) {
    PUNA_TRY(read_type(&entry->type));
    if (entry->type == GgufType::kArray) return read_array(entry);
    uint64_t n_bytes = gguf_type_bytes(entry->type);
    if (entry->type == GgufType::kString) PUNA_TRY(read_number(&n_bytes));
    PUNA_TRY_ASSIGN(entry->bytes, take(n_bytes));
    return entry->type == GgufType::kBool ? check_bools(entry->bytes) : Status();
}

Status GgufParser::read_array(GgufEntry* entry) {
    PUNA_TRY(read_type(&entry->element_type));
    if (entry->element_type == GgufType::kArray) {
        return make_status(PUNA_ERROR_FORMAT, "arrays of arrays are not read");
    }
    PUNA_TRY(read_number(&entry->count));
    const bool strings = entry->element_type == GgufType::kString;
    const uint64_t min_bytes = strings ? 8 : gguf_type_bytes(entry->element_type);
    PUNA_TRY(check_count("elements", entry->count, UINT64_MAX, min_bytes));

    uint64_t n_bytes = entry->count * min_bytes;
    if (strings) PUNA_TRY(measure_strings(entry->count, &n_bytes));
    PUNA_TRY_ASSIGN(entry->bytes, take(n_bytes));
    return entry->element_type == GgufType::kBool ? check_bools(entry->bytes) : Status();
}

// Walks over the strings of an array and back, so that their bytes are taken in one piece.
Status GgufParser::measure_strings(uint64_t count, uint64_t* n_bytes) {
    const uint64_t start = source_.position();
    for (uint64_t i = 0; i < count; ++i) {
        uint64_t length = 0;
        PUNA_TRY(read_number(&length));
        PUNA_TRY(source_.skip(length));
    }
    *n_bytes = source_.position() - start;
    source_.rewind(start);
    return {};
}

Status GgufParser::read_alignment() {
    constexpr const char* kKey = "general.alignment";
    header_->alignment_ = kDefaultAlignment;
    const GgufEntry* entry = header_->find(kKey);
    if (entry == nullptr) return {};
    const GgufPlace place("key", kKey, entry->offset);
    if (entry->type != GgufType::kUint32) {
        return make_status(PUNA_ERROR_FORMAT, "is %s; uint32 is wanted",
                           gguf_type_name(entry->type))
            .within(place.text);
    }
    const auto alignment = load_le<uint32_t>(entry->bytes.data());
    if (!std::has_single_bit(alignment) || alignment < kMinAlignment || alignment > kMaxAlignment) {
        return make_status(PUNA_ERROR_FORMAT,
                           "is %" PRIu32 "; a power of two from %" PRIu32 " to %" PRIu32
                           " is wanted",
                           alignment, kMinAlignment, kMaxAlignment)
            .within(place.text);
    }
    header_->alignment_ = alignment;
    return {};
}

Status GgufParser::read_tensors() {
    PUNA_TRY(check_count("tensors", n_tensors_, kMaxTensors, kMinTensorBytes));
    header_->tensors_.reserve(static_cast<size_t>(n_tensors_));
    for (uint64_t i = 0; i < n_tensors_; ++i) {
        const uint64_t offset = source_.position();
        GgufTensor tensor;
        PUNA_TRY_ASSIGN(tensor.name, read_name("a tensor name", kMaxTensorNameLength));
        const Status status = read_tensor(&tensor);
        if (!status.ok()) return status.within(GgufPlace("tensor", tensor.name, offset).text);
        header_->tensors_.push_back(tensor);
    }

    const auto& tensors = header_->tensors_;
    header_->tensors_by_name_ =
        sorted_by(tensors, [](const GgufTensor& tensor) { return tensor.name; });
    const auto& order = header_->tensors_by_name_;
    const auto twin = std::adjacent_find(order.begin(), order.end(), [&](uint32_t a, uint32_t b) {
        return tensors[a].name == tensors[b].name;
    });
    if (twin == order.end()) return {};
    return make_status(PUNA_ERROR_FORMAT, "tensor '%.*s' is listed twice",
                       static_cast<int>(tensors[*twin].name.size()), tensors[*twin].name.data());
}

Status GgufParser::read_tensor(GgufTensor* tensor) {
    PUNA_TRY(read_dims(tensor));
    uint32_t type_id = 0;
    PUNA_TRY(read_number(&type_id));
    const BlockFormatInfo* info = find_block_format(type_id);
    if (info == nullptr) {
        return make_status(PUNA_ERROR_MODEL_UNSUPPORTED, "unknown tensor type %" PRIu32, type_id);
    }
    tensor->format = info->format;
    if (tensor->ne[0] % info->block_length != 0) {
        return make_status(PUNA_ERROR_FORMAT,
                           "rows of %" PRIu64 " elements do not divide into %s blocks of %" PRIu32,
                           tensor->ne[0], info->name, info->block_length);
    }
    const auto n_bytes = block_format_bytes(info->format, tensor->n_elements);
    if (!n_bytes) {
        return make_status(PUNA_ERROR_FORMAT, "%" PRIu64 " elements of %s exceed 64 bits",
                           tensor->n_elements, info->name);
    }
    tensor->n_bytes = *n_bytes;

    PUNA_TRY(read_number(&tensor->offset));  // relative until place_tensors()
    if (tensor->offset % header_->alignment_ != 0) {
        return make_status(PUNA_ERROR_FORMAT,
                           "offset %" PRIu64 " is no multiple of the alignment %" PRIu32,
                           tensor->offset, header_->alignment_);
    }
    return {};
}

Status GgufParser::read_dims(GgufTensor* tensor) {
    PUNA_TRY(read_number(&tensor->n_dims));
    if (tensor->n_dims < 1 || tensor->n_dims > tensor->ne.size()) {
        return make_status(PUNA_ERROR_FORMAT, "has %" PRIu32 " dimensions; 1 to 4 are read",
                           tensor->n_dims);
    }
    tensor->n_elements = 1;
    for (uint32_t d = 0; d < tensor->n_dims; ++d) {
        PUNA_TRY(read_number(&tensor->ne[d]));
        if (tensor->ne[d] == 0) {
            return make_status(PUNA_ERROR_FORMAT, "dimension %" PRIu32 " is 0", d);
        }
        if (!checked_mul(tensor->n_elements, tensor->ne[d], &tensor->n_elements) ||
            !std::in_range<int64_t>(tensor->n_elements)) {
            return make_status(PUNA_ERROR_FORMAT,
                               "dimension %" PRIu32 " of %" PRIu64
                               " makes more elements than 63 bits count",
                               d, tensor->ne[d]);
        }
    }
    return {};
}

// Turns the offsets into places in the file, which must hold every byte of every tensor.
Status GgufParser::place_tensors() {
    if (!checked_align_up(source_.position(), header_->alignment_, &header_->data_offset_)) {
        return make_status(PUNA_ERROR_FORMAT, "the header exceeds 64 bits");
    }
    const uint64_t data_offset = header_->data_offset_;
    const uint64_t n_data_bytes = source_.size() - std::min(source_.size(), data_offset);
    for (GgufTensor& tensor : header_->tensors_) {
        if (tensor.offset > n_data_bytes || tensor.n_bytes > n_data_bytes - tensor.offset) {
            return make_status(PUNA_ERROR_TRUNCATED,
                               "tensor '%.*s' needs %" PRIu64 " bytes at %" PRIu64 " + %" PRIu64
                               "; the file ends at byte %" PRIu64,
                               static_cast<int>(tensor.name.size()), tensor.name.data(),
                               tensor.n_bytes, data_offset, tensor.offset, source_.size());
        }
        tensor.offset += data_offset;
    }
    return check_overlap();
}

Status GgufParser::check_overlap() const {
    const auto& tensors = header_->tensors_;
    const auto order = sorted_by(tensors, [](const GgufTensor& tensor) { return tensor.offset; });
    for (size_t i = 1; i < order.size(); ++i) {
        const GgufTensor& before = tensors[order[i - 1]];
        const GgufTensor& after = tensors[order[i]];
        if (before.offset + before.n_bytes <= after.offset) continue;
        return make_status(PUNA_ERROR_FORMAT, "tensors '%.*s' and '%.*s' overlap at byte %" PRIu64,
                           static_cast<int>(before.name.size()), before.name.data(),
                           static_cast<int>(after.name.size()), after.name.data(), after.offset);
    }
    return {};
}

Result<GgufHeader> read_gguf(ByteSource& source, const char* name) {
    GgufHeader header;
    const Status status = GgufParser(source, &header).parse(name);
    if (!status.ok()) return status.within(name);
    return header;
}

}  // namespace puna::core
