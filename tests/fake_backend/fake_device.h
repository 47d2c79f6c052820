// fake_device.h - what the fake GPU stands on: errors, versioned structs, "device memory".
//
// SPDX-License-Identifier: MIT
#ifndef FAKE_DEVICE_H
#define FAKE_DEVICE_H

#include <algorithm>
#include <atomic>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <new>
#include <string>
#include <utility>
#include <vector>

#include "puna/puna_backend.h"

namespace fake {

// ---- errors ------------------------------------------------------------------------------------

// Thrown inside the plugin only; `guarded` turns it into a status.
struct Failure {
    puna_status status;
    std::string text;
};

[[noreturn]] inline void fail(puna_status status, std::string text) {
    throw Failure{status, "fake gpu: " + std::move(text)};
}

inline void require(bool condition, const char* text) {
    if (!condition) fail(PUNA_ERROR_ARGUMENT, text);
}

inline puna_status report(puna_error* error, puna_status status, const char* text) noexcept {
    if (error == nullptr) return status;
    const size_t given = error->struct_size == 0 ? sizeof(puna_error) : error->struct_size;
    const size_t filled = std::min(given, sizeof(puna_error));
    constexpr size_t head = offsetof(puna_error, message);
    if (filled < head) return status;
    error->status = status;
    if (filled > head) {
        size_t n = std::min(std::strlen(text), filled - head - 1);
        while (n > 0 && (static_cast<unsigned char>(text[n]) & 0xC0) == 0x80) --n;
        std::memcpy(error->message, text, n);
        error->message[n] = 0;
    }
    error->struct_size = static_cast<uint32_t>(filled);
    return status;
}

// Runs the body of an entry: nothing leaves it but a status.
template <typename Body>
puna_status guarded(puna_error* error, Body&& body) noexcept {
    try {
        body();
        return report(error, PUNA_OK, "");
    } catch (const Failure& failure) {
        return report(error, failure.status, failure.text.c_str());
    } catch (const std::bad_alloc&) {
        return report(error, PUNA_ERROR_OUT_OF_MEMORY, "fake gpu: out of host memory");
    } catch (...) {
        return report(error, PUNA_ERROR_INTERNAL, "fake gpu: an exception of an unknown type");
    }
}

// ---- structs with a struct_size ----------------------------------------------------------------

// A copy of an input struct by the rule of puna.h: fields that are not there are zero, fields that
// this header does not know must be zero.
template <typename T>
T read_struct(const T* given, const char* name) {
    const std::string what(name);
    if (given == nullptr) fail(PUNA_ERROR_ARGUMENT, what + " is NULL");
    const size_t size = given->struct_size;
    if (size < sizeof(uint32_t)) fail(PUNA_ERROR_ARGUMENT, what + ": struct_size is not set");
    const auto* bytes = reinterpret_cast<const unsigned char*>(given);
    for (size_t i = sizeof(T); i < size; ++i) {
        if (bytes[i] != 0) fail(PUNA_ERROR_UNSUPPORTED, what + " has fields of a newer puna");
    }
    T copy{};
    std::memcpy(&copy, given, std::min(size, sizeof(T)));
    return copy;
}

template <typename T>
void write_struct(T* out, T value, const char* name) {
    if (out == nullptr || out->struct_size < sizeof(uint32_t)) {
        fail(PUNA_ERROR_ARGUMENT, std::string(name) + " is NULL or its struct_size is not set");
    }
    value.struct_size = static_cast<uint32_t>(std::min<size_t>(out->struct_size, sizeof(T)));
    std::memcpy(out, &value, value.struct_size);
}

template <size_t N>
void write_text(char (&out)[N], const char* text) {
    const size_t n = std::min(std::strlen(text), N - 1);
    std::memcpy(out, text, n);
    std::memset(out + n, 0, N - n);
}

// ---- device memory -----------------------------------------------------------------------------

// The memory of the device: a budget. Shared by threads.
class DeviceMemory {
  public:
    explicit DeviceMemory(uint64_t total) : total_(total) {}
    uint64_t total() const { return total_; }
    uint64_t available() const { return total_ - used_.load(); }

    void take(uint64_t bytes) {
        uint64_t used = used_.load();
        do {
            if (bytes > total_ - used) {
                fail(PUNA_ERROR_DEVICE_MEMORY, std::to_string(bytes) + " bytes are needed, " +
                                                   std::to_string(total_ - used) + " of " +
                                                   std::to_string(total_) + " are free");
            }
        } while (!used_.compare_exchange_weak(used, used + bytes));
    }
    void give(uint64_t bytes) { used_.fetch_sub(bytes); }

  private:
    const uint64_t total_;
    std::atomic<uint64_t> used_{0};
};

// A share of the budget for as long as this object lives.
class DeviceShare {
  public:
    DeviceShare(DeviceMemory& memory, uint64_t bytes) : memory_(memory), bytes_(bytes) {
        memory_.take(bytes);
    }
    ~DeviceShare() { memory_.give(bytes_); }
    DeviceShare(const DeviceShare&) = delete;
    DeviceShare& operator=(const DeviceShare&) = delete;
    uint64_t bytes() const { return bytes_; }

  private:
    DeviceMemory& memory_;
    const uint64_t bytes_;
};

// ---- elements of the KV cache ------------------------------------------------------------------

inline float half_to_float(uint16_t half) {
    const uint32_t sign = static_cast<uint32_t>(half & 0x8000u) << 16;
    const uint32_t rest = half & 0x7FFFu;
    if (rest >= 0x7C00u) return std::bit_cast<float>(sign | 0x7F800000u | (rest & 0x3FFu) << 13);
    if (rest >= 0x400u) return std::bit_cast<float>(sign | ((rest << 13) + 0x38000000u));
    const float tiny = static_cast<float>(rest) * 0x1p-24f;
    return sign != 0 ? -tiny : tiny;
}

// To the nearest, ties to even; too large becomes infinite.
inline uint16_t float_to_half(float value) {
    const uint32_t bits = std::bit_cast<uint32_t>(value);
    const auto sign = static_cast<uint16_t>(bits >> 16 & 0x8000u);
    const uint32_t rest = bits & 0x7FFFFFFFu;
    const auto with_sign = [sign](uint32_t half) { return static_cast<uint16_t>(sign | half); };
    if (rest > 0x7F800000u) return with_sign(0x7E00u);
    if (rest >= 0x477FF000u) return with_sign(0x7C00u);
    if (rest >= 0x38800000u) {
        return with_sign((rest - 0x38000000u + 0xFFFu + (rest >> 13 & 1u)) >> 13);
    }
    // Below the normal halves: adding 0.5 puts the rounded multiple of 2^-24 in the low bits.
    const float sum = std::bit_cast<float>(rest) + 0.5f;
    return with_sign(std::bit_cast<uint32_t>(sum) - 0x3F000000u);
}

// Keys or values of all layers of an executor: [layer][cell][n_head_kv][head_dim].
class KvArray {
  public:
    KvArray(int32_t type, int32_t n_layers, int32_t n_cells, int32_t row_length)
        : type_(type),
          n_cells_(static_cast<size_t>(n_cells)),
          row_length_(static_cast<size_t>(row_length)),
          bytes_(static_cast<size_t>(n_layers) * n_cells_ * cell_bytes(), 0xFF) {}

    // 0 for a type that this backend does not have.
    static size_t element_bytes(int32_t type) {
        if (type == PUNA_KV_F32) return 4;
        return type == PUNA_KV_F16 || type == PUNA_KV_BF16 ? 2 : 0;
    }
    size_t cell_bytes() const { return row_length_ * element_bytes(type_); }
    unsigned char* cell(size_t layer, int32_t cell_index) {
        return bytes_.data() + (layer * n_cells_ + static_cast<size_t>(cell_index)) * cell_bytes();
    }

    double get(size_t layer, int32_t cell_index, size_t i) {
        const unsigned char* at = cell(layer, cell_index) + i * element_bytes(type_);
        if (type_ == PUNA_KV_F32) return load<float>(at);
        const auto bits = load<uint16_t>(at);
        if (type_ == PUNA_KV_F16) return half_to_float(bits);
        return std::bit_cast<float>(static_cast<uint32_t>(bits) << 16);
    }
    void set(size_t layer, int32_t cell_index, size_t i, double exact) {
        unsigned char* at = cell(layer, cell_index) + i * element_bytes(type_);
        const auto value = static_cast<float>(exact);
        if (type_ == PUNA_KV_F32) return store(at, value);
        if (type_ == PUNA_KV_F16) return store(at, float_to_half(value));
        const uint32_t bits = std::bit_cast<uint32_t>(value);
        const uint32_t round = value != value ? 0u : 0x7FFFu + (bits >> 16 & 1u);
        store(at, static_cast<uint16_t>((bits + round) >> 16));
    }

  private:
    template <typename T>
    static T load(const unsigned char* at) {
        T value;
        std::memcpy(&value, at, sizeof value);
        return value;
    }
    template <typename T>
    static void store(unsigned char* at, T value) {
        std::memcpy(at, &value, sizeof value);
    }

    const int32_t type_;
    const size_t n_cells_;
    const size_t row_length_;
    std::vector<unsigned char> bytes_;  // 0xFF: not-a-number in each type
};

}  // namespace fake

#endif  // FAKE_DEVICE_H
