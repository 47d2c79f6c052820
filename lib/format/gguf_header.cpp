#include "format/gguf_header.h"

#include <algorithm>
#include <cinttypes>
#include <cstdio>
#include <functional>
#include <iterator>
#include <utility>

namespace puna::core {

namespace {

const char* const kTypeNames[] = {"uint8",  "int8",    "uint16", "int16",  "uint32",
                                  "int32",  "float32", "bool",   "string", "array",
                                  "uint64", "int64",   "float64"};
constexpr uint32_t kNumTypes = std::size(kTypeNames);

bool is_integer(GgufType type) {
    return type <= GgufType::kInt32 || type == GgufType::kUint64 || type == GgufType::kInt64;
}

bool is_signed(GgufType type) {
    return type == GgufType::kInt8 || type == GgufType::kInt16 || type == GgufType::kInt32 ||
           type == GgufType::kInt64;
}

// The type that is named when a T was wanted.
template <class T>
constexpr GgufType kStoredAs = GgufType::kUint32;
template <>
constexpr GgufType kStoredAs<int32_t> = GgufType::kInt32;
template <>
constexpr GgufType kStoredAs<uint64_t> = GgufType::kUint64;

// Whether bits, as gguf_load_integer makes them of a value of `type`, are representable as T.
template <class T>
bool integer_fits(GgufType type, uint64_t bits) {
    if (is_signed(type)) return std::in_range<T>(static_cast<int64_t>(bits));
    return std::in_range<T>(bits);
}

// The item whose name is the one asked for, by its place in the sorted order.
template <class Item, class Field>
const Item* find_sorted(const std::vector<Item>& items, const std::vector<uint32_t>& order,
                        std::string_view name, Field field) {
    const auto at = std::lower_bound(
        order.begin(), order.end(), name,
        [&](uint32_t i, std::string_view wanted) { return std::invoke(field, items[i]) < wanted; });
    if (at == order.end() || std::invoke(field, items[*at]) != name) return nullptr;
    return &items[*at];
}

}  // namespace

const char* gguf_type_name(GgufType type) {
    const auto id = static_cast<uint32_t>(type);
    return id < kNumTypes ? kTypeNames[id] : "unknown";
}

size_t gguf_type_bytes(GgufType type) {
    switch (type) {
        case GgufType::kUint8:
        case GgufType::kInt8:
        case GgufType::kBool:
            return 1;
        case GgufType::kUint16:
        case GgufType::kInt16:
            return 2;
        case GgufType::kUint32:
        case GgufType::kInt32:
        case GgufType::kFloat32:
            return 4;
        case GgufType::kUint64:
        case GgufType::kInt64:
        case GgufType::kFloat64:
            return 8;
        case GgufType::kString:
        case GgufType::kArray:
            break;
    }
    return 0;
}

uint64_t gguf_load_integer(GgufType type, const std::byte* bytes) {
    switch (type) {
        case GgufType::kInt8:
            return static_cast<uint64_t>(static_cast<int64_t>(load_le<int8_t>(bytes)));
        case GgufType::kInt16:
            return static_cast<uint64_t>(static_cast<int64_t>(load_le<int16_t>(bytes)));
        case GgufType::kInt32:
            return static_cast<uint64_t>(static_cast<int64_t>(load_le<int32_t>(bytes)));
        case GgufType::kUint16:
            return load_le<uint16_t>(bytes);
        case GgufType::kUint32:
            return load_le<uint32_t>(bytes);
        case GgufType::kUint64:
        case GgufType::kInt64:
            return load_le<uint64_t>(bytes);
        default:
            return load_le<uint8_t>(bytes);
    }
}

GgufPlace::GgufPlace(const char* noun, std::string_view name, std::optional<uint64_t> offset) {
    const auto length = static_cast<int>(std::min(name.size(), kMaxNameLength));
    const int n = std::snprintf(text, sizeof text, "%s '%.*s'", noun, length, name.data());
    if (!offset || n < 0 || static_cast<size_t>(n) >= sizeof text) return;
    std::snprintf(text + n, sizeof text - static_cast<size_t>(n), " at byte %" PRIu64, *offset);
}

const GgufEntry* GgufHeader::find(std::string_view key) const {
    return find_sorted(entries_, entries_by_key_, key, &GgufEntry::key);
}

const GgufTensor* GgufHeader::find_tensor(std::string_view tensor_name) const {
    return find_sorted(tensors_, tensors_by_name_, tensor_name, &GgufTensor::name);
}

Status GgufHeader::key_error(puna_status code, std::string_view key, const char* format,
                             ...) const {
    va_list args;
    va_start(args, format);
    const Status status = make_status_v(code, format, args);
    va_end(args);
    const GgufEntry* entry = find(key);
    const auto offset = entry != nullptr ? std::optional(entry->offset) : std::nullopt;
    return status.within(GgufPlace("key", key, offset).text).within(name_.c_str());
}

Result<const GgufEntry*> GgufHeader::find_typed(std::string_view key, GgufType type) const {
    const GgufEntry* entry = find(key);
    if (entry == nullptr) {
        return make_status(PUNA_ERROR_MODEL, "%s is missing", GgufPlace("key", key).text)
            .within(name_.c_str());
    }
    if (entry->type != type) {
        return key_error(PUNA_ERROR_FORMAT, key, "is %s; %s is wanted", gguf_type_name(entry->type),
                         gguf_type_name(type));
    }
    return entry;
}

Result<const GgufEntry*> GgufHeader::find_array(std::string_view key, uint64_t count) const {
    PUNA_TRY_ASSIGN(const GgufEntry* entry, find_typed(key, GgufType::kArray));
    if (count != kAnyCount && entry->count != count) {
        return key_error(PUNA_ERROR_FORMAT, key, "has %" PRIu64 " elements; %" PRIu64 " are wanted",
                         entry->count, count);
    }
    return entry;
}

template <class T>
Result<T> GgufHeader::get_integer(std::string_view key) const {
    const GgufEntry* entry = find(key);
    if (entry == nullptr || !is_integer(entry->type)) {
        return find_typed(key, kStoredAs<T>).status();
    }
    const uint64_t bits = gguf_load_integer(entry->type, entry->bytes.data());
    if (!integer_fits<T>(entry->type, bits)) return range_error<T>(key, entry->type, bits);
    return static_cast<T>(bits);
}

template <class T>
Result<GgufNumbers<T>> GgufHeader::get_integers(std::string_view key, uint64_t count) const {
    PUNA_TRY_ASSIGN(const GgufEntry* entry, find_array(key, count));
    if (!is_integer(entry->element_type)) return element_error(*entry, kStoredAs<T>);
    const GgufNumbers<uint64_t> raw(entry->element_type, entry->bytes.data(),
                                    static_cast<size_t>(entry->count));
    for (size_t i = 0; i < raw.size(); ++i) {
        if (!integer_fits<T>(entry->element_type, raw[i])) {
            return range_error<T>(key, entry->element_type, raw[i]);
        }
    }
    return GgufNumbers<T>(entry->element_type, entry->bytes.data(), raw.size());
}

template <class T>
Status GgufHeader::range_error(std::string_view key, GgufType type, uint64_t bits) const {
    const char* wanted = gguf_type_name(kStoredAs<T>);
    if (is_signed(type)) {
        return key_error(PUNA_ERROR_FORMAT, key, "the value %" PRId64 " does not fit %s",
                         static_cast<int64_t>(bits), wanted);
    }
    return key_error(PUNA_ERROR_FORMAT, key, "the value %" PRIu64 " does not fit %s", bits, wanted);
}

Status GgufHeader::element_error(const GgufEntry& entry, GgufType wanted) const {
    return key_error(PUNA_ERROR_FORMAT, entry.key, "is an array of %s; an array of %s is wanted",
                     gguf_type_name(entry.element_type), gguf_type_name(wanted));
}

Result<uint32_t> GgufHeader::get_u32(std::string_view key) const {
    return get_integer<uint32_t>(key);
}

Result<uint64_t> GgufHeader::get_u64(std::string_view key) const {
    return get_integer<uint64_t>(key);
}

Result<float> GgufHeader::get_f32(std::string_view key) const {
    PUNA_TRY_ASSIGN(const GgufEntry* entry, find_typed(key, GgufType::kFloat32));
    return load_le<float>(entry->bytes.data());
}

Result<bool> GgufHeader::get_bool(std::string_view key) const {
    PUNA_TRY_ASSIGN(const GgufEntry* entry, find_typed(key, GgufType::kBool));
    return entry->bytes[0] != std::byte{0};
}

Result<std::string_view> GgufHeader::get_string(std::string_view key) const {
    PUNA_TRY_ASSIGN(const GgufEntry* entry, find_typed(key, GgufType::kString));
    return entry->text();
}

Result<uint32_t> GgufHeader::get_u32_or(std::string_view key, uint32_t fallback) const {
    if (!has(key)) return fallback;
    return get_u32(key);
}

Result<uint64_t> GgufHeader::get_u64_or(std::string_view key, uint64_t fallback) const {
    if (!has(key)) return fallback;
    return get_u64(key);
}

Result<float> GgufHeader::get_f32_or(std::string_view key, float fallback) const {
    if (!has(key)) return fallback;
    return get_f32(key);
}

Result<bool> GgufHeader::get_bool_or(std::string_view key, bool fallback) const {
    if (!has(key)) return fallback;
    return get_bool(key);
}

Result<std::string_view> GgufHeader::get_string_or(std::string_view key,
                                                   std::string_view fallback) const {
    if (!has(key)) return fallback;
    return get_string(key);
}

Result<GgufStrings> GgufHeader::get_strings(std::string_view key, uint64_t count) const {
    PUNA_TRY_ASSIGN(const GgufEntry* entry, find_array(key, count));
    if (entry->element_type != GgufType::kString) return element_error(*entry, GgufType::kString);
    return GgufStrings(entry->bytes, static_cast<size_t>(entry->count));
}

Result<GgufNumbers<float>> GgufHeader::get_f32s(std::string_view key, uint64_t count) const {
    PUNA_TRY_ASSIGN(const GgufEntry* entry, find_array(key, count));
    if (entry->element_type != GgufType::kFloat32) return element_error(*entry, GgufType::kFloat32);
    return GgufNumbers<float>(GgufType::kFloat32, entry->bytes.data(),
                              static_cast<size_t>(entry->count));
}

Result<GgufNumbers<int32_t>> GgufHeader::get_i32s(std::string_view key, uint64_t count) const {
    return get_integers<int32_t>(key, count);
}

Result<GgufNumbers<uint32_t>> GgufHeader::get_u32s(std::string_view key, uint64_t count) const {
    return get_integers<uint32_t>(key, count);
}

}  // namespace puna::core
