// What the fake GPU stands on: errors, structs with a size, device memory, arrays of a KV cache.
#pragma once

#include <algorithm>
#include <atomic>
#include <bit>
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <new>
#include <string>
#include <utility>
#include <vector>

#include "puna/puna_backend.h"

namespace fake {

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
    if (error == nullptr || error->struct_size < sizeof(puna_error)) return status;
    error->status = status;
    std::snprintf(error->message, sizeof error->message, "%s", text);
    return status;
}

// Runs the body of a function of the table: nothing leaves it but a status.
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

// The library and this plugin are built from one header: every struct has the size it has here.
template <typename T>
T& sized(T* given, const char* name) {
    if (given == nullptr || given->struct_size != sizeof(T)) {
        fail(PUNA_ERROR_ARGUMENT, std::string(name) + " is NULL or its struct_size is not set");
    }
    return *given;
}

inline size_t product(int32_t a, int32_t b) {
    return static_cast<size_t>(a) * static_cast<size_t>(b);
}

// ---- Device memory -----------------------------------------------------------------------------

// A budget, shared by threads.
class DeviceMemory {
  public:
    explicit DeviceMemory(uint64_t total) : total_(total) {}
    uint64_t total() const { return total_; }
    uint64_t available() const { return total_ - used_; }

    void take(uint64_t bytes) {
        uint64_t used = used_;
        do {
            if (bytes <= total_ - used) continue;
            fail(PUNA_ERROR_DEVICE_MEMORY, std::to_string(bytes) + " bytes are needed, " +
                                               std::to_string(total_ - used) + " of " +
                                               std::to_string(total_) + " are free");
        } while (!used_.compare_exchange_weak(used, used + bytes));
    }
    void give(uint64_t bytes) { used_ -= bytes; }

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

// ---- KV cache ----------------------------------------------------------------------------------

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
    const uint32_t sign = bits >> 16 & 0x8000u;
    const uint32_t rest = bits & 0x7FFFFFFFu;
    uint32_t half = 0;
    if (rest > 0x7F800000u) {
        half = 0x7E00u;
    } else if (rest >= 0x477FF000u) {
        half = 0x7C00u;
    } else if (rest >= 0x38800000u) {
        half = (rest - 0x38000000u + 0xFFFu + (rest >> 13 & 1u)) >> 13;
    } else {
        // Below the normal halves: adding 0.5 puts the rounded multiple of 2^-24 in the low bits.
        half = std::bit_cast<uint32_t>(std::bit_cast<float>(rest) + 0.5f) - 0x3F000000u;
    }
    return static_cast<uint16_t>(sign | half);
}

// Keys or values of all layers of an executor: [layer][cell][n_head_kv][head_dim] in F32 or F16.
class KvArray {
  public:
    KvArray(int32_t type, int32_t n_layers, int32_t n_cells, int32_t row_length)
        : is_half_(type == PUNA_KV_F16),
          n_cells_(static_cast<size_t>(n_cells)),
          row_length_(static_cast<size_t>(row_length)),
          bytes_(static_cast<size_t>(n_layers) * n_cells_ * cell_bytes(), kPoison) {}

    // 0 for a type that this backend does not have.
    static size_t element_bytes(int32_t type) {
        return type == PUNA_KV_F32 ? 4 : type == PUNA_KV_F16 ? 2 : 0;
    }
    size_t cell_bytes() const { return row_length_ * (is_half_ ? 2 : 4); }
    unsigned char* cell(size_t layer, int32_t index) {
        return bytes_.data() + (layer * n_cells_ + static_cast<size_t>(index)) * cell_bytes();
    }
    void poison(size_t layer, int32_t index) noexcept {
        std::memset(cell(layer, index), kPoison, cell_bytes());
    }
    void move(size_t layer, const puna_kv_move& move) {
        std::memmove(cell(layer, move.target), cell(layer, move.source),
                     static_cast<size_t>(move.n_cells) * cell_bytes());
    }

    double get(size_t layer, int32_t index, size_t i) {
        if (is_half_) return half_to_float(at<uint16_t>(layer, index)[i]);
        return at<float>(layer, index)[i];
    }
    void set(size_t layer, int32_t index, size_t i, double exact) {
        const auto value = static_cast<float>(exact);
        if (is_half_) {
            at<uint16_t>(layer, index)[i] = float_to_half(value);
        } else {
            at<float>(layer, index)[i] = value;
        }
    }

  private:
    static constexpr unsigned char kPoison = 0xFF;  // not-a-number in both types

    // Every cell begins at a multiple of its element size from the start of an allocation.
    template <typename T>
    T* at(size_t layer, int32_t index) {
        return reinterpret_cast<T*>(cell(layer, index));
    }

    const bool is_half_;
    const size_t n_cells_;
    const size_t row_length_;
    std::vector<unsigned char> bytes_;
};

}  // namespace fake
