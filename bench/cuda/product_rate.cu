// What the CUDA backend's products take on a GPU, in the shapes of TinyLlama 1.1B:
//
//   puna_cuda_products layers   those of a layer, for some formats and numbers of rows
//   puna_cuda_products tiles    in bfloat16, by each kernel and number of splits that the backend chooses among
//   puna_cuda_products slices   of many rows by warps, by how much of a matrix is in bfloat16 at a time
//
// Matrices of several layers take turns, so that they come out of the GPU's memory and not out of its cache.
#include <cuda_runtime.h>

#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <vector>

#include "bench/cuda/gpu_time.h"
#include "cuda/bf16_warp_tiles.h"
#include "cuda/blocks_k.cuh"
#include "cuda/linear_warpgroups.cuh"

namespace puna::cuda {
namespace {

constexpr int kLayers = 6;
constexpr int kMostRows = 2048;
constexpr int64_t kEmbd = 2048;
constexpr int64_t kKeys = 256;
constexpr int64_t kFf = 5632;
constexpr int64_t kSliceBytes = int64_t{96} << 20;

struct Format {
    const char* name;
    int32_t format;
    int64_t bytes;  // of 256 columns
};
constexpr Format kFormats[] = {{"F16", PUNA_FORMAT_F16, 512},
                               {"Q8_0", PUNA_FORMAT_Q8_0, 272},
                               {"Q6_K", PUNA_FORMAT_Q6_K, 210},
                               {"Q4_K", PUNA_FORMAT_Q4_K, 144},
                               {"Q4_0", PUNA_FORMAT_Q4_0, 144}};

// Any bytes will do: few are so much alike that multiplying them takes less power than weights do.
std::vector<uint32_t> random_words() {
    std::vector<uint32_t> words(size_t{4} << 20);
    uint32_t state = 1;
    for (uint32_t& word : words) {
        state = state * 1664525u + 1013904223u;
        word = (state ^ state >> 16) & 0x3fff3fffu;
    }
    return words;
}
template <class T>
T* random_array(int64_t n) {
    static const std::vector<uint32_t> words = random_words();
    const size_t size = static_cast<size_t>(n) * sizeof(T);
    void* memory = nullptr;
    check(cudaMalloc(&memory, size));
    for (size_t at = 0; at < size; at += words.size() * 4) {
        check(cudaMemcpy(static_cast<uint8_t*>(memory) + at, words.data(),
                         std::min(size - at, words.size() * 4), cudaMemcpyHostToDevice));
    }
    return static_cast<T*>(memory);
}

struct Device {
    KernelTraits traits;
    int32_t n_processors = 0;
    float* x = random_array<float>(kMostRows * kFf);
    float* gain = random_array<float>(kFf);
    float* y = random_array<float>(kMostRows * 2 * kFf);
    float* spare = random_array<float>(kMostRows * kFf);
    InputForms forms;

    Device() {
        check(prepare_kernels(&traits));
        check(cudaDeviceGetAttribute(&n_processors, cudaDevAttrMultiProcessorCount, 0));
        forms.normed = random_array<float>(kMostRows * kFf);
        forms.rounded = random_array<uint8_t>(rounded_bytes(kMostRows, kFf));
        forms.slice = random_array<uint8_t>(kSliceBytes);
        forms.slice_bytes = kBf16SliceBytes;
        forms.parts = random_array<float>(kBf16PartsBytes / 4);
        forms.parts_bytes = kBf16PartsBytes;
        forms.n_arrivals = 4096;
        forms.arrivals = random_array<uint32_t>(forms.n_arrivals);
        check(cudaMemset(forms.arrivals, 0, static_cast<size_t>(forms.n_arrivals) * 4));
    }
};

// ---- Layers -------------------------------------------------------------------------------------

struct Shape {
    const char* name;
    std::vector<int64_t> outputs;  // of its matrices
    int64_t columns;
    Epilogue epilogue;
    bool is_normed;
};
const std::vector<Shape> kShapes = {
    {"Q, K, V", {kEmbd, kKeys, kKeys}, kEmbd, Epilogue::kStore, true},
    {"output", {kEmbd}, kEmbd, Epilogue::kResidual, false},
    {"gate, up", {kFf, kFf}, kEmbd, Epilogue::kGateUp, true},
    {"down", {kEmbd}, kFf, Epilogue::kResidual, false}};

// As forward.cu has it, but for results that stay in bfloat16.
struct ShapeProducts {
    std::vector<Product> products[kLayers];
    Input input;
    LinearOptions options;
    int64_t bytes = 0;  // of a layer

    ShapeProducts(const Device& device, const Shape& shape, const Format& format, int32_t n_rows) {
        input.x = device.x;
        input.n_rows = n_rows;
        input.columns = shape.columns;
        if (shape.is_normed) input.norm = {device.gain, PUNA_NORM_RMS, 1e-5f};
        options.epilogue = shape.epilogue;
        options.n_processors = device.n_processors;
        options.traits = device.traits;
        const bool is_pair = shape.epilogue == Epilogue::kGateUp;
        for (const int64_t outputs : shape.outputs) {
            if (!is_pair || options.y_stride == 0) options.y_stride += outputs;
        }
        const int64_t row_bytes = shape.columns / 256 * format.bytes;
        for (auto& layer : products) {
            float* y = device.y;
            for (const int64_t outputs : shape.outputs) {
                const auto* data = random_array<uint8_t>(outputs * row_bytes + 16);
                layer.push_back(
                    {{data, outputs, shape.columns, row_bytes, format.format}, nullptr, y});
                y += outputs;
            }
        }
        for (const int64_t outputs : shape.outputs) bytes += outputs * row_bytes;
    }
    ShapeProducts(const ShapeProducts&) = delete;
    ShapeProducts& operator=(const ShapeProducts&) = delete;
    ~ShapeProducts() {
        for (const auto& layer : products) {
            for (const Product& product : layer) {
                cudaFree(const_cast<uint8_t*>(product.matrix.data));
            }
        }
    }

    // Of a layer, in microseconds.
    double time(const Device& device, const InputForms& forms) const {
        return gpu_time([&] {
                   for (const auto& layer : products) {
                       check(multiply(input, layer.data(), static_cast<int32_t>(layer.size()),
                                      options, forms, device.spare, nullptr));
                   }
               }) *
               1000.0 / kLayers;
    }
};

void time_layers(const Device& device) {
    std::printf("us of a layer's products; GB/s of weights, TFLOPS\n");
    for (const Format& format : kFormats) {
        for (const int32_t n_rows : {1, 8, 16, 32, 64, 128, 512, 2048}) {
            double total = 0.0;
            double bytes = 0.0;
            double operations = 0.0;
            std::printf("%-5s %4d rows ", format.name, n_rows);
            for (const Shape& shape : kShapes) {
                const ShapeProducts products(device, shape, format, n_rows);
                const double us = products.time(device, device.forms);
                std::printf(" %s %.1f", shape.name, us);
                total += us;
                bytes += static_cast<double>(products.bytes);
                for (const int64_t outputs : shape.outputs) {
                    operations += 2.0 * static_cast<double>(outputs * shape.columns * n_rows);
                }
            }
            std::printf("  all %.1f: %.0f GB/s, %.1f TFLOPS\n", total, bytes / total / 1e3,
                        operations / total / 1e6);
        }
    }
}

// ---- Tiles --------------------------------------------------------------------------------------

struct TileTime {
    const Device& device;
    int64_t outputs;
    int64_t columns;
    int32_t n_rows;

    // y = W x, of one matrix.
    LinearJob job() const {
        LinearJob job;
        job.columns = columns;
        job.n_rows = n_rows;
        job.y_stride = outputs;
        add_part(job, {{device.forms.slice, outputs, columns, 0, 0}, nullptr, device.y});
        job.fragments = reinterpret_cast<const uint4*>(device.forms.rounded);
        return job;
    }
    // In microseconds; 0: sums of so many splits do not fit.
    template <class Launch>
    double of(const TileShape& shape, int32_t index, int32_t n_splits, const Launch& launch) const {
        TileChoice choice = {0.0f, index, n_splits, (n_rows + shape.rows - 1) / shape.rows, 0};
        const int64_t at_once = int64_t{shape.outputs} * shape.cluster;
        choice.output_tiles = (outputs + at_once - 1) / at_once * shape.cluster;
        const int64_t parts =
            choice.row_tiles * choice.output_tiles * n_splits * shape.rows * shape.outputs * 4;
        if (n_splits > 1 && parts > device.forms.parts_bytes) return 0.0;
        return gpu_time([&] {
                   for (int l = 0; l < kLayers; ++l) check(launch(choice));
               }) *
               1000.0 / kLayers;
    }
    template <class Launch>
    void print(const char* name, std::span<const TileShape> shapes, const Launch& launch) const {
        for (size_t i = 0; i < shapes.size(); ++i) {
            const TileShape& shape = shapes[i];
            if (shape.shared_bytes > device.traits.shared_bytes) continue;
            std::printf("%4d rows %5d x %-5d %-5s %3d x %3d by %d:", n_rows,
                        static_cast<int>(outputs), static_cast<int>(columns), name, shape.rows,
                        shape.outputs, shape.cluster);
            for (const int32_t n_splits : {1, 2, 3, 4, 6}) {
                const double us = of(shape, static_cast<int32_t>(i), n_splits, launch);
                if (us == 0.0) continue;
                const double operations = 2.0 * static_cast<double>(outputs * columns * n_rows);
                std::printf("  %d: %.1f us, %.0f TFLOPS", n_splits, us, operations / us / 1e6);
            }
            std::printf("\n");
        }
    }
};

void time_warp_tiles(const TileTime& time) {
    Bf16Job job = {};
    job.tile.job = time.job();
    job.tile.n_outputs = time.outputs;
    job.tile.parts = reinterpret_cast<float4*>(time.device.forms.parts);
    job.tile.arrivals = time.device.forms.arrivals;
    job.weights = reinterpret_cast<const uint4*>(time.device.forms.slice);
    job.rows = job.tile.job.fragments;
    job.stride = bf16_stride(time.columns);
    time.print("bf16", warp_tiles(), [&](const TileChoice& choice) {
        job.tile.n_splits = choice.n_splits;
        return launch_warp_tile(job, choice, false, nullptr);
    });
}

template <class Format>
void time_warpgroups(const char* name, const TileTime& time) {
    LinearJob job = time.job();
    job.parts[0].row_bytes = time.columns / Format::kLength * Format::kBytes;
    LinearOptions options;
    options.traits = time.device.traits;
    time.print(name, kGroupShapes<Format>, [&](const TileChoice& choice) {
        return launch_group<Format>(job, choice, options, time.device.forms, nullptr);
    });
}

void time_tiles(const Device& device) {
    std::printf("us of a product in bfloat16 by rows and outputs of a tile, cluster, splits\n");
    for (const int32_t n_rows : {128, 512, 2048}) {
        for (const Shape& shape : kShapes) {
            int64_t outputs = 0;
            for (const int64_t n : shape.outputs) outputs += n;
            const TileTime time = {device, outputs, shape.columns, n_rows};
            time_warp_tiles(time);
            if (!device.traits.has_warpgroups) continue;
            time_warpgroups<Q8_0>("Q8_0", time);
            time_warpgroups<Q4_K>("Q4_K", time);
        }
    }
}

// ---- Slices -------------------------------------------------------------------------------------

void time_slices(Device device) {
    device.traits.has_warpgroups = false;  // which need none
    std::printf("us of gate and up, Q8_0, by the MiB of a slice\n");
    for (const int32_t n_rows : {128, 512, 2048}) {
        const ShapeProducts products(device, kShapes[2], kFormats[1], n_rows);
        std::printf("%4d rows:", n_rows);
        for (const int64_t mib : {4, 8, 12, 16, 24, 36, 64}) {
            InputForms forms = device.forms;
            forms.slice_bytes = mib << 20;
            std::printf("  %d: %.1f", static_cast<int>(mib), products.time(device, forms));
        }
        std::printf("\n");
    }
}

int run(const char* what) {
    const Device device;
    std::printf("%d multiprocessors, products by %s\n", device.n_processors,
                device.traits.has_warpgroups ? "warpgroups" : "warps");
    if (std::strcmp(what, "layers") == 0) {
        time_layers(device);
    } else if (std::strcmp(what, "tiles") == 0) {
        time_tiles(device);
    } else {
        time_slices(device);
    }
    return 0;
}

}  // namespace
}  // namespace puna::cuda

int main(int n_arguments, char** arguments) {
    const char* what = n_arguments == 2 ? arguments[1] : "";
    for (const char* known : {"layers", "tiles", "slices"}) {
        if (std::strcmp(what, known) == 0) return puna::cuda::run(what);
    }
    std::fprintf(stderr, "puna_cuda_products layers | tiles | slices\n");
    return 2;
}
