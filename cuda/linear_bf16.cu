#include "cuda/linear_bf16.h"

#include "cuda/bf16_warp_tiles.h"

namespace puna::cuda {

namespace {

int64_t tiles(int64_t n, int64_t size) {
    return (n + size - 1) / size;
}

// How a slice of so many outputs is multiplied best.
TileChoice choose(const Bf16Job& job, int64_t n_outputs, const LinearOptions& options,
                  const InputForms& forms) {
    const bool stays = job.tile.y_fragments != nullptr;
    const int64_t outputs = tiled_outputs(job.tile.job, n_outputs, stays);
    return choose_tile(warp_tiles(), {outputs, job.tile.job.n_rows, job.stride}, options, forms);
}

cudaError_t launch_slice(Bf16Job job, const LinearOptions& options, const InputForms& forms,
                         cudaStream_t stream) {
    const TileChoice choice = choose(job, job.tile.n_outputs, options, forms);
    if (choice.index < 0) return cudaErrorInvalidConfiguration;
    job.tile.n_splits = choice.n_splits;
    return launch_warp_tile(job, choice, options.traits.overlaps, stream);
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
    const int64_t outputs = job.tile.job.outputs;
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

// Outputs of a slice: those of all matrices one behind the other, or of a gate and its up. What neighbours of one
// format have goes in one launch.
cudaError_t fill_slice(const Bf16Job& slice, const Product* products, int32_t n,
                       const LinearOptions& options, const InputForms& forms, cudaStream_t stream) {
    Expand job = {};
    job.stride = slice.stride;
    job.takes_turns = options.epilogue == Epilogue::kGateUp;
    job.out = reinterpret_cast<uint16_t*>(forms.slice);
    job.overlaps = options.traits.overlaps;
    int64_t first = slice.tile.first_output;
    int64_t first_out = 0;
    for (int32_t i = 0; i < n; ++i) {
        const Matrix& matrix = products[i].matrix;
        const int64_t from = first < 0 ? 0 : first;
        const int64_t end = first + slice.tile.n_outputs;
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

cudaError_t multiply_slice(const Bf16Job& job, const Product* products, int32_t n,
                           const LinearOptions& options, const InputForms& forms,
                           cudaStream_t stream) {
    const cudaError_t error = fill_slice(job, products, n, options, forms, stream);
    return error == cudaSuccess ? launch_slice(job, options, forms, stream) : error;
}

}  // namespace

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
    job.tile.job = make_job(input, options);
    for (int32_t i = 0; i < n; ++i) add_part(job.tile.job, products[i]);
    job.rows = input.fragments;
    job.weights = reinterpret_cast<const uint4*>(forms.slice);
    job.tile.y_fragments = options.y_fragments;
    job.tile.parts = reinterpret_cast<float4*>(forms.parts);
    job.tile.arrivals = forms.arrivals;
    job.stride = bf16_stride(input.columns);
    const int64_t parts = options.epilogue == Epilogue::kGateUp ? 2 : 1;
    const int64_t most = slice_outputs(forms.slice_bytes, input.columns) / parts;
    const int64_t step = choose_step(job, most, kMultiple / parts, options, forms);
    for (int64_t first = 0; first < job.tile.job.outputs; first += step) {
        const int64_t left = job.tile.job.outputs - first;
        job.tile.first_output = first;
        job.tile.n_outputs = left < step ? left : step;
        const cudaError_t error = multiply_slice(job, products, n, options, forms, stream);
        if (error != cudaSuccess) return error;
    }
    return cudaSuccess;
}

cudaError_t prepare_bf16(const KernelTraits& traits) {
    return prepare_warp_tiles(traits.shared_bytes);
}

}  // namespace puna::cuda
