#include "cuda/cell_transfer.h"

#include <algorithm>
#include <cstring>

namespace puna::cuda {

namespace {

// Large enough that the calls do not count, small beside any cache.
constexpr uint64_t kBufferBytes = uint64_t{1} << 20;

uint64_t aligned(uint64_t bytes) {
    return (bytes + kDeviceAlignment - 1) / kDeviceAlignment * kDeviceAlignment;
}

}  // namespace

uint64_t cell_bytes(const KvHalf& half) {
    const auto dim = static_cast<uint64_t>(half.head_dim);
    uint64_t line = dim * sizeof(uint16_t);
    if (half.type == PUNA_KV_F32) line = dim * sizeof(float);
    if (half.type == PUNA_KV_Q8_0) line = dim + (dim + 31) / 32 * sizeof(uint16_t);
    return line * static_cast<uint64_t>(half.n_head_kv);
}

CellTransfer::CellTransfer(const KvCache& cache) {
    const uint64_t most = std::max(cell_bytes(cache.keys), cell_bytes(cache.values));
    const auto n_cells = static_cast<uint64_t>(cache.keys.n_cells);
    most_cells_ = static_cast<int32_t>(std::clamp(kBufferBytes / most, uint64_t{1}, n_cells));
    cells_bytes_ = aligned(static_cast<uint64_t>(most_cells_) * sizeof(int32_t));
    data_bytes_ = aligned(static_cast<uint64_t>(most_cells_) * most);
}

cudaError_t CellTransfer::send_cells(const Forward& f, std::span<const int32_t> cells) const {
    std::memcpy(pinned_, cells.data(), cells.size_bytes());
    return cudaMemcpyAsync(device_, pinned_, cells.size_bytes(), cudaMemcpyHostToDevice, f.stream);
}

Status CellTransfer::read(Device& device, const Forward& f, int32_t layer, int32_t keys_or_values,
                          std::span<const int32_t> cells, uint8_t* out) const {
    const KvHalf& half = keys_or_values == PUNA_KV_KEYS ? f.cache.keys : f.cache.values;
    while (!cells.empty()) {
        const auto piece = cells.first(std::min(cells.size(), static_cast<size_t>(most_cells_)));
        const size_t size = piece.size() * static_cast<size_t>(cell_bytes(half));
        PUNA_TRY(device.check(send_cells(f, piece), "kv_read"));
        PUNA_TRY(device.check(
            gather_cells(f, layer, keys_or_values, reinterpret_cast<const int32_t*>(device_),
                         static_cast<int32_t>(piece.size()), device_ + cells_bytes_),
            "kv_read"));
        PUNA_TRY(device.check(cudaMemcpyAsync(pinned_ + cells_bytes_, device_ + cells_bytes_, size,
                                              cudaMemcpyDeviceToHost, f.stream),
                              "kv_read"));
        PUNA_TRY(device.check(cudaStreamSynchronize(f.stream), "kv_read"));
        std::memcpy(out, pinned_ + cells_bytes_, size);
        out += size;
        cells = cells.subspan(piece.size());
    }
    return {};
}

Status CellTransfer::write(Device& device, const Forward& f, int32_t layer, int32_t keys_or_values,
                           std::span<const int32_t> cells, const uint8_t* data) const {
    const KvHalf& half = keys_or_values == PUNA_KV_KEYS ? f.cache.keys : f.cache.values;
    while (!cells.empty()) {
        const auto piece = cells.first(std::min(cells.size(), static_cast<size_t>(most_cells_)));
        const size_t size = piece.size() * static_cast<size_t>(cell_bytes(half));
        std::memcpy(pinned_ + cells_bytes_, data, size);
        PUNA_TRY(device.check(send_cells(f, piece), "kv_write"));
        PUNA_TRY(device.check(cudaMemcpyAsync(device_ + cells_bytes_, pinned_ + cells_bytes_, size,
                                              cudaMemcpyHostToDevice, f.stream),
                              "kv_write"));
        PUNA_TRY(device.check(
            scatter_cells(f, layer, keys_or_values, reinterpret_cast<const int32_t*>(device_),
                          static_cast<int32_t>(piece.size()), device_ + cells_bytes_),
            "kv_write"));
        PUNA_TRY(device.check(cudaStreamSynchronize(f.stream), "kv_write"));
        data += size;
        cells = cells.subspan(piece.size());
    }
    return {};
}

}  // namespace puna::cuda
