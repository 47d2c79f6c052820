// What products are tested with.
#pragma once

#include <gtest/gtest.h>

#include <vector>

#include "cuda/forward.h"
#include "cuda_kernels/device_array.h"
#include "format/block_format.h"
#include "format/random_blocks.h"
#include "support/random_numbers.h"

namespace puna::test {

// A random matrix on the device, and its values.
struct TestMatrix {
    TestMatrix(core::BlockFormat format, int64_t rows, int64_t columns, uint64_t seed) {
        const auto n = static_cast<size_t>(rows * columns);
        const auto row_bytes = *core::block_format_bytes(format, static_cast<uint64_t>(columns));
        std::vector<uint8_t> bytes(row_bytes * static_cast<size_t>(rows));
        core::RandomBits bits(seed);
        core::random_blocks(format, bits, 0.7f, bytes.data(), rows * columns);
        values.resize(n);
        EXPECT_TRUE(core::dequantize_row(format, bytes.data(), values.data(), rows * columns).ok());
        bytes.resize((bytes.size() + 15) / 16 * 16, 0xff);  // what kernels may read
        device = DeviceArray<uint8_t>(bytes);
        matrix = {device.get(), rows, columns, static_cast<int64_t>(row_bytes),
                  static_cast<int32_t>(format)};
    }

    std::vector<float> values;  // [rows][columns]
    DeviceArray<uint8_t> device;
    cuda::Matrix matrix;
};

inline std::vector<core::BlockFormat> all_formats() {
    std::vector<core::BlockFormat> formats;
    for (const auto& info : core::block_formats()) {
        if (core::is_supported(info.format)) formats.push_back(info.format);
    }
    return formats;
}

}  // namespace puna::test
