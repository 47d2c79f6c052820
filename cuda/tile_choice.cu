#include "cuda/tile_choice.h"

#include "cuda/linear_bf16.h"

namespace puna::cuda {

namespace {

int64_t tiles(int64_t n, int64_t size) {
    return (n + size - 1) / size;
}

// Of an H100: bytes in a clock that a multiprocessor gets out of the L2 cache when all read, and alone.
constexpr float kSharedReads = 25.0f;
constexpr float kOwnReads = 64.0f;
// Of what is over sooner: it is in the way of the other.
constexpr float kLesser = 0.1f;

// Takes a shape if it is better than the choice so far. In a round each multiprocessor multiplies a tile, or its
// part of one, and all together read no more than the L2 cache gives. The parts of a tile are written by all its
// blocks, and read by one.
void consider(std::span<const TileShape> shapes, int32_t index, int32_t n_splits,
              const TileProduct& product, const LinearOptions& options, const InputForms& forms,
              TileChoice& choice) {
    const TileShape& shape = shapes[static_cast<size_t>(index)];
    if (shape.shared_bytes > options.traits.shared_bytes) return;
    const int64_t area = int64_t{shape.rows} * shape.outputs;
    const int64_t row_tiles = tiles(product.rows, shape.rows);
    const int64_t output_tiles =
        tiles(product.outputs, int64_t{shape.outputs} * shape.cluster) * shape.cluster;
    const int64_t n_tiles = row_tiles * output_tiles;
    const auto n_processors = static_cast<float>(options.n_processors);
    const auto n_rounds = static_cast<float>(tiles(n_tiles * n_splits, options.n_processors));
    const float products =
        n_rounds * static_cast<float>(area) / (shape.products * static_cast<float>(n_splits));
    const float reads = static_cast<float>(n_tiles) * shape.bytes / (kSharedReads * n_processors);
    float cost = products > reads ? products + kLesser * reads : reads + kLesser * products;
    cost += n_rounds * shape.clocks / static_cast<float>(product.columns);
    if (n_splits > 1) {
        const bool fits = n_tiles * n_splits * area * 4 <= forms.parts_bytes &&
                          n_tiles <= forms.n_arrivals &&
                          int64_t{n_splits} * shape.steps * kBf16Step <= product.columns;
        if (!fits) return;
        cost += static_cast<float>((n_splits + 1) * area * 4) /
                (kOwnReads * static_cast<float>(product.columns));
    }
    if (choice.index >= 0 && choice.cost <= cost) return;
    choice = {cost, index, n_splits, row_tiles, output_tiles};
}

}  // namespace

TileChoice choose_tile(std::span<const TileShape> shapes, const TileProduct& product,
                       const LinearOptions& options, const InputForms& forms) {
    TileChoice choice;
    for (const int32_t n_splits : {1, 2, 3, 4, 5, 6}) {
        for (int32_t i = 0; i < static_cast<int32_t>(shapes.size()); ++i) {
            consider(shapes, i, n_splits, product, options, forms, choice);
        }
    }
    return choice;
}

int64_t tiled_outputs(const LinearJob& job, int64_t n_outputs, bool stays) {
    if (stays) return 2 * bf16_stride(n_outputs);
    return job.epilogue == Epilogue::kGateUp ? tiles(n_outputs, 8) * 16 : n_outputs;
}

}  // namespace puna::cuda
