#include "cuda/linear_bf16.h"

#include <span>

#include "cuda/bf16_tile.cuh"

namespace puna::cuda {

namespace {

// ---- Launches -----------------------------------------------------------------------------------

int64_t tiles(int64_t n, int64_t size) {
    return (n + size - 1) / size;
}

std::span<const TileKernel> tile_kernels(int32_t n_rows, const KernelTraits& traits) {
    return form_of_tiles(n_rows, traits) == OperandForm::kPanels ? warpgroup_tiles() : warp_tiles();
}

// How a slice is multiplied, and the clocks that takes for each column.
struct Choice {
    float cost;
    const TileKernel* kernel;
    int32_t n_splits;
};

// Rows of tiles, with those that fill up a cluster.
int64_t row_tiles(const TileKernel& kernel, int64_t n_rows) {
    return tiles(n_rows, int64_t{kernel.rows} * kernel.cluster) * kernel.cluster;
}

// Of an H100: bytes in a clock that a multiprocessor gets out of the L2 cache when all read, and alone.
constexpr float kSharedReads = 25.0f;
constexpr float kOwnReads = 64.0f;

// Of what is over sooner: it is in the way of the other.
constexpr float kLesser = 0.1f;

// Takes a kernel if it is better than the choice so far. In a round each multiprocessor multiplies a tile, or
// its part of one, and all together read no more than the L2 cache gives. The parts of a tile are written by
// all its blocks, and read by one.
void consider(const TileKernel& kernel, const Bf16Job& job, int64_t outputs,
              const LinearOptions& options, const InputForms& forms, int32_t n_splits,
              Choice& choice) {
    if (kernel.shared_bytes > options.traits.shared_bytes) return;
    const int64_t area = int64_t{kernel.rows} * kernel.outputs;
    const int64_t n_tiles = tiles(outputs, kernel.outputs) * row_tiles(kernel, job.job.n_rows);
    const auto n_processors = static_cast<float>(options.n_processors);
    const auto n_rounds = static_cast<float>(tiles(n_tiles * n_splits, options.n_processors));
    const float products =
        n_rounds * static_cast<float>(area) / (kernel.products * static_cast<float>(n_splits));
    const float reads =
        static_cast<float>(n_tiles * 2 * (kernel.outputs / kernel.cluster + kernel.rows)) /
        (kSharedReads * n_processors);
    float cost = products > reads ? products + kLesser * reads : reads + kLesser * products;
    if (n_splits > 1) {
        const bool fits = n_tiles * n_splits * area * 4 <= forms.parts_bytes &&
                          n_tiles <= forms.n_arrivals &&
                          n_splits * kernel.steps <= job.stride / kBf16Step;
        if (!fits) return;
        cost += static_cast<float>((n_splits + 1) * area * 4) /
                (kOwnReads * static_cast<float>(job.stride));
    }
    if (!choice.kernel || cost < choice.cost) choice = {cost, &kernel, n_splits};
}

// Outputs that are multiplied for those of a slice, gate and up counted apart: pairs lie in groups of eight,
// and fragments end with zeros.
int64_t tiled_outputs(const Bf16Job& job, int64_t n_outputs) {
    if (job.y_fragments) return 2 * bf16_stride(n_outputs);
    return job.job.epilogue == Epilogue::kGateUp ? tiles(n_outputs, 8) * 16 : n_outputs;
}

// How a slice of so many outputs is multiplied best.
Choice choose(const Bf16Job& job, int64_t n_outputs, const LinearOptions& options,
              const InputForms& forms) {
    Choice choice = {};
    const int64_t outputs = tiled_outputs(job, n_outputs);
    for (const int32_t n_splits : {1, 2, 3, 4, 5, 6}) {
        for (const TileKernel& kernel : tile_kernels(job.job.n_rows, options.traits)) {
            consider(kernel, job, outputs, options, forms, n_splits, choice);
        }
    }
    return choice;
}

cudaError_t launch_slice(Bf16Job job, const LinearOptions& options, const InputForms& forms,
                         cudaStream_t stream) {
    const Choice choice = choose(job, job.n_outputs, options, forms);
    if (!choice.kernel) return cudaErrorInvalidConfiguration;
    const TileKernel& kernel = *choice.kernel;
    const int64_t outputs = tiled_outputs(job, job.n_outputs);
    job.n_splits = choice.n_splits;
    const dim3 grid(static_cast<unsigned>(row_tiles(kernel, job.job.n_rows)),
                    static_cast<unsigned>(tiles(outputs, kernel.outputs)),
                    static_cast<unsigned>(job.n_splits));
    return kernel.launch(job, grid, options.traits.overlaps, stream);
}

// ---- Slices -------------------------------------------------------------------------------------

// Outputs of a slice come in multiples of what a block takes.
constexpr int64_t kMultiple = 128;

int64_t slice_outputs(int64_t bytes, int64_t columns) {
    return (bytes / (2 * bf16_stride(columns)) - kBf16Spare) / kMultiple * kMultiple;
}

// What a slice takes beside its products: two launches, of which the second waits for the first.
constexpr float kSliceClocks = 4000.0f;

// Outputs of all slices but the last, of at most `most`: what takes least for all, as neither a large slice
// nor a small one need fill the multiprocessors.
int64_t choose_step(const Bf16Job& job, int64_t most, int64_t multiple,
                    const LinearOptions& options, const InputForms& forms) {
    const int64_t outputs = job.job.outputs;
    if (outputs <= most) return most;
    constexpr int64_t kMostCandidates = 8;
    const int64_t less = tiles(most, 2 * kMostCandidates * multiple) * multiple;
    int64_t best = most;
    float best_cost = 0.0f;
    for (int64_t step = most; step > most / 2; step -= less) {
        const int64_t rest = outputs % step;
        const auto n_whole = static_cast<float>(outputs / step);
        const float slice = kSliceClocks / static_cast<float>(job.stride);
        float cost = n_whole * (slice + choose(job, step, options, forms).cost);
        if (rest > 0) cost += slice + choose(job, rest, options, forms).cost;
        if (step == most || cost < best_cost) {
            best = step;
            best_cost = cost;
        }
    }
    return best;
}

// Rows of all parts of a slice: a multiple of what panels have.
int64_t slice_rows(const Bf16Job& job) {
    const bool is_pair = job.job.epilogue == Epilogue::kGateUp;
    return panel_rows(is_pair ? tiles(job.n_outputs, 8) * 16 : job.n_outputs);
}

// Outputs of a slice: those of all matrices one behind the other, or of a gate and its up. What neighbours of one
// format have goes in one launch.
cudaError_t fill_slice(const Bf16Job& slice, const Product* products, int32_t n,
                       const LinearOptions& options, const InputForms& forms, cudaStream_t stream) {
    Expand job = {};
    job.stride = slice.stride;
    job.takes_turns = options.epilogue == Epilogue::kGateUp;
    if (form_of_tiles(slice.job.n_rows, options.traits) == OperandForm::kPanels) {
        job.panel_rows = slice.n_slice_rows;
    }
    job.out = reinterpret_cast<uint16_t*>(forms.slice);
    job.overlaps = options.traits.overlaps;
    int64_t first = slice.first_output;
    int64_t first_out = 0;
    for (int32_t i = 0; i < n; ++i) {
        const Matrix& matrix = products[i].matrix;
        const int64_t from = first < 0 ? 0 : first;
        const int64_t end = first + slice.n_outputs;
        const int64_t until = end < matrix.rows ? end : matrix.rows;
        if (from < until) {
            job.parts[job.n_parts++] = {matrix.data + from * matrix.row_bytes, job.n_rows,
                                        first_out};
            job.n_rows += until - from;
            first_out += job.takes_turns ? 8 : until - from;
        }
        if (!job.takes_turns) first -= matrix.rows;
        if (job.n_parts == 0) continue;
        if (i + 1 < n && products[i + 1].matrix.format == matrix.format) continue;
        job.row_bytes = matrix.row_bytes;
        job.columns = matrix.columns;
        const cudaError_t error = expand_rows(job, matrix.format, stream);
        if (error != cudaSuccess) return error;
        job.n_rows = job.n_parts = 0;
    }
    return cudaSuccess;
}

cudaError_t multiply_slice(Bf16Job job, const Product* products, int32_t n,
                           const LinearOptions& options, const InputForms& forms,
                           cudaStream_t stream) {
    job.n_slice_rows = slice_rows(job);
    const cudaError_t error = fill_slice(job, products, n, options, forms, stream);
    return error == cudaSuccess ? launch_slice(job, options, forms, stream) : error;
}

}  // namespace

OperandForm form_of_tiles(int32_t n_rows, const KernelTraits& traits) {
    const bool is_wide = n_rows > kSplitRows;
    return is_wide && traits.has_warpgroups ? OperandForm::kPanels : OperandForm::kLeft;
}

int64_t bf16_slice_bytes(int64_t outputs, int64_t columns) {
    const int64_t all = tiles(outputs, kMultiple) * kMultiple;
    const int64_t most = kBf16SliceBytes / (2 * bf16_stride(columns)) / kMultiple * kMultiple;
    const int64_t n = all < most ? all : most;
    return bf16_bytes(n < kMultiple ? kMultiple : n, columns);
}

bool takes_bf16(const Input& input, const Product* products, int32_t n,
                const LinearOptions& options, const InputForms& forms) {
    if (!forms.slice || !options.traits.has_floats16 || options.same_for_all_rows ||
        input.n_rows <= kFewRows || n > kMostParts) {
        return false;
    }
    bool all_split = true;
    for (int32_t i = 0; i < n; ++i) {
        const int32_t format = products[i].matrix.format;
        if (!expands(format)) return false;
        all_split = all_split && reads_rounded(format);
    }
    // What all reads its blocks is better off there.
    return !(all_split && takes_split(input, options));
}

cudaError_t multiply_bf16(const Input& input, const Product* products, int32_t n,
                          const LinearOptions& options, const InputForms& forms,
                          cudaStream_t stream) {
    Bf16Job job = {};
    job.job = make_job(input, options);
    for (int32_t i = 0; i < n; ++i) add_part(job.job, products[i]);
    job.rows = input.fragments;
    job.weights = reinterpret_cast<const uint4*>(forms.slice);
    job.y_fragments = options.y_fragments;
    job.parts = reinterpret_cast<float4*>(forms.parts);
    job.arrivals = forms.arrivals;
    job.stride = bf16_stride(input.columns);
    const int64_t parts = options.epilogue == Epilogue::kGateUp ? 2 : 1;
    const int64_t most = slice_outputs(forms.slice_bytes, input.columns) / parts;
    const int64_t step = choose_step(job, most, kMultiple / parts, options, forms);
    for (int64_t first = 0; first < job.job.outputs; first += step) {
        const int64_t left = job.job.outputs - first;
        job.first_output = first;
        job.n_outputs = left < step ? left : step;
        const cudaError_t error = multiply_slice(job, products, n, options, forms, stream);
        if (error != cudaSuccess) return error;
    }
    return cudaSuccess;
}

cudaError_t prepare_bf16(const KernelTraits& traits) {
    for (const auto kernels : {warp_tiles(), warpgroup_tiles()}) {
        for (const TileKernel& kernel : kernels) {
            if (kernel.shared_bytes > traits.shared_bytes) continue;
            const cudaError_t error = kernel.prepare();
            if (error != cudaSuccess) return error;
        }
    }
    return cudaSuccess;
}

}  // namespace puna::cuda
