// Arrays in the memory of the emulated device.
#pragma once

#include <cuda_runtime.h>
#include <gtest/gtest.h>

#include <cstdint>
#include <span>
#include <vector>

namespace puna::test {

template <class T>
class DeviceArray {
  public:
    DeviceArray() = default;
    explicit DeviceArray(size_t n) : n_(n) {
        EXPECT_EQ(cudaMalloc(&data_, n * sizeof(T)), cudaSuccess);
    }
    explicit DeviceArray(std::span<const T> values) : DeviceArray(values.size()) {
        EXPECT_EQ(
            cudaMemcpy(data_, values.data(), values.size() * sizeof(T), cudaMemcpyHostToDevice),
            cudaSuccess);
    }
    explicit DeviceArray(const std::vector<T>& values)
        : DeviceArray(std::span<const T>(values.data(), values.size())) {}
    DeviceArray(DeviceArray&& other) noexcept
        : data_(std::exchange(other.data_, nullptr)), n_(std::exchange(other.n_, 0)) {}
    DeviceArray& operator=(DeviceArray&& other) noexcept {
        std::swap(data_, other.data_);
        std::swap(n_, other.n_);
        return *this;
    }
    ~DeviceArray() {
        if (data_) cudaFree(data_);
    }

    T* get() const { return data_; }
    std::vector<T> read() const {
        std::vector<T> values(n_);
        EXPECT_EQ(cudaMemcpy(values.data(), data_, n_ * sizeof(T), cudaMemcpyDeviceToHost),
                  cudaSuccess);
        return values;
    }

  private:
    T* data_ = nullptr;
    size_t n_ = 0;
};

}  // namespace puna::test
