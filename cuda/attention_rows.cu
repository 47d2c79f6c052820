// Attention of many rows on tensor cores, after FlashAttention-2: a block takes 64 queries, and the keys and
// values of 64 positions at a time; scores, weights and sums stay in registers.
//
// The queries are those of a piece of the batch (attention_pieces.h), and of all heads that share a KV head:
// what is read once serves all of them. A warp has 16, and of these a lane the rows g and g + 8 of mma.cuh,
// with g = lane / 4 and t = lane % 4. Accumulators of scores are then, rounded, the left operands of the
// products with values.
//
// What a row does not see has a weight of 0, which times an infinite value is no number. So infinite values in
// the cache may reach rows of the same view that do not see them, but none of another view: a piece has one.
//
// While scores are computed the values are on their way, and the next keys while those are added: so a tile
// of each is enough, and a multiprocessor has room for other blocks that fill what is left of the waits.
#include "cuda/attention_rows.h"

#include "cuda/async_copy.cuh"
#include "cuda/attention_job.cuh"
#include "cuda/bf16_operands.cuh"
#include "cuda/blocks.cuh"
#include "cuda/launch.h"
#include "cuda/mma.cuh"

namespace puna::cuda {

namespace {

constexpr int kWarps = 4;
constexpr int kThreads = kWarps * kWarp;
constexpr int kQueries = kQueriesTogether;  // of a block
static_assert(kQueries == 16 * kWarps);
constexpr int kPositions = 64;  // of a tile
constexpr int kPages = kPositions / PUNA_KV_PAGE;
constexpr int kMostDim = 128;
constexpr int kPiece = 8;  // 16-bit elements of 16 bytes
constexpr float kLog2E = 1.44269504f;
constexpr float kMostHalf = 65504.0f;

__device__ inline float minus_infinity() {
    return __uint_as_float(0xff800000u);
}

// A tile of the cache as 16-bit floats, at turned_piece(). What heads lack of kDim is 0.
template <int kDim>
struct Tile {
    uint4 pieces[kPositions][kDim / kPiece];
};
template <int kDim>
struct RowsMemory {
    Tile<kDim> keys;
    Tile<kDim> values;
    uint4 queries[kDim / 16][kThreads];  // left operands of each lane
};
// What every GPU gives a block without asking.
static_assert(sizeof(RowsMemory<kMostDim>) <= 48 * 1024);

// ---- Which queries ------------------------------------------------------------------------------

// What a block has: query i is that of row i / n_heads of the piece, and of head first_head + i % n_heads.
struct Block {
    AttentionPiece piece;
    const int32_t* pages;  // of its view
    int32_t kv_head;
    int32_t first_head;
    int32_t n_heads;
};

__device__ inline Block block_of_grid(const AttentionJob& job) {
    Block block;
    const auto index = static_cast<int32_t>(blockIdx.x);
    block.kv_head = index / job.units_per_head;
    const int32_t within = index % job.units_per_head * kQueries;
    block.first_head = block.kv_head * job.group + within;
    block.n_heads = min(kQueries, job.group - within);
    block.piece = job.pieces[blockIdx.y];
    block.pages = pages_of(job, job.heads.rows[block.piece.first_row].view);
    return block;
}

// A query of a lane: of row g, or with `half` 1 of row g + 8. What the block lacks of 64 are queries of its
// last row, whose results nobody gets.
struct Query {
    int32_t row;  // of the batch
    int32_t head;
    bool is_wanted;
};
__device__ inline Query query_of_lane(const Block& block, int half) {
    const int32_t i = warp_of_thread() * 16 + half * 8 + lane_of_thread() / 4;
    const int32_t row = i / block.n_heads;
    const AttentionPiece& piece = block.piece;
    return {piece.first_row + min(row, piece.n_rows - 1), block.first_head + i % block.n_heads,
            row < piece.n_rows};
}

template <int kType>
__device__ inline uint32_t rounded_pair(float low, float high) {
    return kType == PUNA_KV_BF16 ? bfloat16_pair(low, high) : half_pair(low, high);
}
template <int kType>
__device__ inline void multiply(float* c, const uint32_t* a, const uint32_t* b) {
    if constexpr (kType == PUNA_KV_BF16) {
        mma_bfloat16(c, a, b);
    } else {
        mma_half(c, a, b);
    }
}

// As near as halves come. What is not a number stays so.
template <int kType>
__device__ inline float clamped(float x) {
    if (kType == PUNA_KV_BF16) return x;
    return fabsf(x) > kMostHalf ? copysignf(kMostHalf, x) : x;
}

// The queries of a lane as left operands of two products for each 32 dimensions. Their columns are not in the
// order of the dimensions, but as in multiply_keys(): 8 dimensions of a row, which lie side by side, are the
// two words of both products that belong to a lane.
template <int kType, int kDim>
__device__ inline void load_queries(const AttentionJob& job, const Block& block,
                                    uint4 (*q)[kThreads]) {
    const Query queries[2] = {query_of_lane(block, 0), query_of_lane(block, 1)};
#pragma unroll
    for (int j = 0; j < kDim / 16; ++j) {
        const int d = j / 2 * 32 + lane_of_thread() % 4 * kPiece + j % 2 * 4;
        uint32_t words[4] = {};
#pragma unroll
        for (int half = 0; half < 2; ++half) {
            if (d >= job.heads.head_dim_k) break;
            const float* from = query_or_key(job.heads, queries[half].row, queries[half].head);
            const float4 x = *reinterpret_cast<const float4*>(from + d);
            words[half] = rounded_pair<kType>(clamped<kType>(x.x), clamped<kType>(x.y));
            words[half + 2] = rounded_pair<kType>(clamped<kType>(x.z), clamped<kType>(x.w));
        }
        q[j][threadIdx.x] = make_uint4(words[0], words[1], words[2], words[3]);
    }
}

// ---- What they see ------------------------------------------------------------------------------

// What the two queries of a lane see.
struct Sight {
    int32_t first[2];
    int32_t last[2];
};
__device__ inline Sight sight_of_lane(const AttentionJob& job, const Block& block) {
    Sight sight;
#pragma unroll
    for (int half = 0; half < 2; ++half) {
        const puna_batch_row& row = job.heads.rows[query_of_lane(block, half).row];
        sight.first[half] = row.first;
        sight.last[half] = row.position;
    }
    return sight;
}

// Whether a query of the warp sees any of the positions from .. to, and whether all see all of them.
__device__ inline bool sees_some(const Sight& sight, int32_t from, int32_t to) {
    const bool sees = (sight.first[0] <= to && sight.last[0] >= from) ||
                      (sight.first[1] <= to && sight.last[1] >= from);
    return __any_sync(kAllLanes, sees) != 0;
}
__device__ inline bool sees_all(const Sight& sight, int32_t from, int32_t to) {
    const bool sees =
        max(sight.first[0], sight.first[1]) <= from && min(sight.last[0], sight.last[1]) >= to;
    return __all_sync(kAllLanes, sees) != 0;
}

// ---- The cache ----------------------------------------------------------------------------------

// A thread has the same piece of every kStep-th row of a tile.
template <int kDim>
struct TilePart {
    static constexpr int kPieces = kDim / kPiece;
    static constexpr int kStep = kThreads / kPieces;
    static constexpr int kRows = kPositions / kStep;
    static_assert(kStep % 8 == 0);  // turned_piece() is the same for all

    __device__ static int piece() { return static_cast<int>(threadIdx.x) % kPieces; }
    __device__ static int row(int i) { return static_cast<int>(threadIdx.x) / kPieces + i * kStep; }
    __device__ static uint4* at(Tile<kDim>& tile, int i) {
        return &tile.pieces[row(i)][turned_piece(row(0), piece())];
    }
};

// What heads lack of kDim.
template <int kDim>
__device__ inline void clear_rest(int32_t head_dim, Tile<kDim>& tile) {
    using Part = TilePart<kDim>;
    if (Part::piece() < head_dim / kPiece) return;
#pragma unroll
    for (int i = 0; i < Part::kRows; ++i) *Part::at(tile, i) = make_uint4(0, 0, 0, 0);
}

// The keys or values of a KV head: those of cell c lie c * step bytes behind the first.
struct HeadCells {
    KvHead first;
    int32_t step;
    int32_t scales_step;
    int32_t n_pieces;
};
template <int kType>
__device__ inline HeadCells cells_of_head(KvHalf half, int32_t layer, int32_t head) {
    half.type = kType;  // as it is, but known
    return {kv_head(half, layer, 0, head), static_cast<int32_t>(kv_cell_bytes(half)),
            static_cast<int32_t>(kv_cell_scales(half)), half.head_dim / kPiece};
}

// 8 elements of Q8_0 as halves. A quant q, with 128 on top and as the second byte of a float whose exponent
// is that of 2^15, makes it 2^15 + 128 + q: that needs no conversion, of which a GPU does a quarter as many
// as multiplications. Both products are exact.
__device__ inline uint4 halves_of_q8_0(const uint8_t* data, const uint16_t* scales, int piece) {
    constexpr unsigned kBits = 0x47000000u;
    uint32_t quants[2];
    load_cell_words<2>(data + piece * kPiece, quants);
    const float scale = half_value(scales[piece * kPiece / kKvSpan]);
    const float offset = -32896.0f * scale;
    uint32_t words[4];
#pragma unroll
    for (unsigned i = 0; i < 4; ++i) {
        const uint32_t bytes = quants[i / 2] ^ 0x80808080u;
        const unsigned at = i % 2 * 0x20u;
        const float low = __uint_as_float(__byte_perm(bytes, kBits, 0x7604u + at));
        const float high = __uint_as_float(__byte_perm(bytes, kBits, 0x7614u + at));
        words[i] = half_pair(__fmaf_rn(low, scale, offset), __fmaf_rn(high, scale, offset));
    }
    return make_uint4(words[0], words[1], words[2], words[3]);
}

// The cells of a thread's rows of the tile that begins there. In place of positions that no row sees are some
// that one does: what nobody has written could be no number, which a weight of 0 would not hide.
template <int kDim>
__device__ inline void find_cells(const Block& block, int32_t begin, int32_t* cells) {
    using Part = TilePart<kDim>;
    const int32_t low = block.piece.first - begin;
    const int32_t high = block.piece.last - begin;
    if (low <= 0 && high >= kPositions - 1) {
        constexpr int kEach = Part::kRows / kPages;  // rows of a page
        static_assert(kEach * Part::kStep == PUNA_KV_PAGE);
#pragma unroll
        for (int i = 0; i < Part::kRows; ++i) {
            const int32_t first = begin + i / kEach * PUNA_KV_PAGE;
            cells[i] = cell_of(block.pages, first) + Part::row(i % kEach);
        }
    } else {
#pragma unroll
        for (int i = 0; i < Part::kRows; ++i) {
            cells[i] = cell_of(block.pages, begin + min(max(Part::row(i), low), high));
        }
    }
}

// A group of copies, which those of Q8_0 are not: they are there at once.
template <int kType, int kDim>
__device__ inline void take_tile(const HeadCells& head, const Block& block, int32_t begin,
                                 Tile<kDim>& tile) {
    using Part = TilePart<kDim>;
    const int piece = Part::piece();
    if (piece < head.n_pieces) {
        int32_t cells[Part::kRows];
        find_cells<kDim>(block, begin, cells);
#pragma unroll
        for (int i = 0; i < Part::kRows; ++i) {
            const uint8_t* data = head.first.data + int64_t{cells[i]} * head.step;
            if constexpr (kType == PUNA_KV_Q8_0) {
                const uint16_t* scales = head.first.scales + int64_t{cells[i]} * head.scales_step;
                *Part::at(tile, i) = halves_of_q8_0(data, scales, piece);
            } else {
                copy_async(Part::at(tile, i), data + 16 * piece);
            }
        }
    }
    commit_copies();
}

// ---- Scores and sums ----------------------------------------------------------------------------

// A lane's part of 16 queries, laid out as c of mma.cuh, which scores are too. Nothing is divided yet.
template <int kDim>
struct Sums {
    float values[kDim / 8][4];
    float largest[2];  // score so far of each query, times log2(e)
    float weights[2];  // sum of those of the lane
};

// s[n] = q . k of positions 8 n .. 8 n + 7
template <int kType, int kDim>
__device__ inline void multiply_keys(const uint4 (*queries)[kThreads], const Tile<kDim>& keys,
                                     float (*s)[4]) {
    constexpr int kAhead = 4;  // products in a row that do not wait for each other
    const int g = lane_of_thread() / 4;
    const int t = lane_of_thread() % 4;
#pragma unroll
    for (int n = 0; n < kPositions / 8; ++n) {
#pragma unroll
        for (int i = 0; i < 4; ++i) s[n][i] = 0.0f;
    }
#pragma unroll
    for (int j = 0; j < kDim / 32; ++j) {
        uint32_t q[8];
#pragma unroll
        for (int i = 0; i < 2; ++i) words_of(queries[2 * j + i][threadIdx.x], q + 4 * i);
#pragma unroll
        for (int n = 0; n < kPositions / 8; n += kAhead) {
            uint32_t k[kAhead][4];
#pragma unroll
            for (int i = 0; i < kAhead; ++i) {
                const int at = j / 2 * 8 + turned_piece(g, j % 2 * 4 + t);
                words_of(keys.pieces[8 * (n + i) + g][at], k[i]);
            }
#pragma unroll
            for (int i = 0; i < kAhead; ++i) multiply<kType>(s[n + i], q, k[i]);
#pragma unroll
            for (int i = 0; i < kAhead; ++i) multiply<kType>(s[n + i], q + 4, k[i] + 2);
        }
    }
}

__device__ inline void cap_scores(float softcap, float (*s)[4]) {
#pragma unroll
    for (int n = 0; n < kPositions / 8; ++n) {
#pragma unroll
        for (int i = 0; i < 4; ++i) s[n][i] = softcap * tanhf(s[n][i] / softcap);
    }
}

__device__ inline void hide_scores(const Sight& sight, int32_t begin, float (*s)[4]) {
    const int32_t first = begin + lane_of_thread() % 4 * 2;
#pragma unroll
    for (int n = 0; n < kPositions / 8; ++n) {
#pragma unroll
        for (int i = 0; i < 4; ++i) {
            const int32_t position = first + 8 * n + i % 2;
            const bool is_seen = position >= sight.first[i / 2] && position <= sight.last[i / 2];
            if (!is_seen) s[n][i] = minus_infinity();
        }
    }
}

// s = exp(s - the largest so far), and so are the sums.
template <int kDim>
__device__ inline void softmax(float (*s)[4], Sums<kDim>& sums) {
#pragma unroll
    for (int half = 0; half < 2; ++half) {
        float largest = minus_infinity();
#pragma unroll
        for (int n = 0; n < kPositions / 8; ++n) {
            largest = fmaxf(largest, fmaxf(s[n][2 * half], s[n][2 * half + 1]));
        }
        // The four lanes of a query.
        largest = fmaxf(largest, __shfl_xor_sync(kAllLanes, largest, 1));
        largest = fmaxf(largest, __shfl_xor_sync(kAllLanes, largest, 2));
        largest = fmaxf(largest * kLog2E, sums.largest[half]);
        // What has seen nothing yet has weights of 0, not of 2^(infinity - infinity).
        const float base = largest == minus_infinity() ? 0.0f : largest;
        const float keep = quick_exp2(sums.largest[half] - base);
        sums.largest[half] = largest;
        float sum = sums.weights[half] * keep;
#pragma unroll
        for (int n = 0; n < kPositions / 8; ++n) {
#pragma unroll
            for (int i = 2 * half; i < 2 * half + 2; ++i) {
                s[n][i] = quick_exp2(__fmaf_rn(s[n][i], kLog2E, -base));
                sum += s[n][i];
            }
        }
        sums.weights[half] = sum;
#pragma unroll
        for (int d = 0; d < kDim / 8; ++d) {
            sums.values[d][2 * half] *= keep;
            sums.values[d][2 * half + 1] *= keep;
        }
    }
}

// Adds the values of a tile, weighted by s.
template <int kType, int kDim>
__device__ inline void add_values(const float (*s)[4], const Tile<kDim>& values, Sums<kDim>& sums) {
    const int lane = lane_of_thread();
#pragma unroll
    for (int m = 0; m < kPositions / 16; ++m) {
        uint32_t weights[4];
#pragma unroll
        for (int i = 0; i < 4; ++i) {
            const float* two = s[2 * m + i / 2] + i % 2 * 2;
            weights[i] = rounded_pair<kType>(two[0], two[1]);
        }
#pragma unroll
        for (int d = 0; d < kDim / 16; ++d) {
            // Two matrices for positions and two for dimensions 8 further: lane % 16 and lane / 16.
            uint32_t v[4];
            const int at = d / 4 * 8 + turned_piece(lane % 8, d % 4 * 2 + lane / 16);
            load_turned(&values.pieces[16 * m + lane % 16][at], v);
            multiply<kType>(sums.values[2 * d], weights, v);
            multiply<kType>(sums.values[2 * d + 1], weights, v + 2);
        }
    }
}

// Those of a query as panels of linear_bf16.h, of which a lane has the pieces of its number.
template <int kDim>
__device__ inline void put_query(const AttentionJob& job, const Query& query, float inverse,
                                 const float (*values)[4], int half) {
    const int dim = job.heads.head_dim_v;
    const int64_t n_rows = panel_rows(job.heads.n_rows);
    const int64_t first = int64_t{query.head} * dim;
#pragma unroll
    for (int d = 0; d < kDim; d += kSpan) {
        if (d >= dim) return;
        uint32_t words[4];
#pragma unroll
        for (int i = 0; i < 4; ++i) {
            const float* both = values[d / 8 + i] + 2 * half;
            words[i] = bfloat16_pair(both[0] * inverse, both[1] * inverse);
        }
        job.panels[panel_piece(n_rows, first + d, query.row, lane_of_thread() % 4)] =
            make_uint4(words[0], words[1], words[2], words[3]);
    }
}

// attn = sums / weights
template <int kDim>
__device__ inline void store_sums(const AttentionJob& job, const Block& block, Sums<kDim>& sums) {
    const int64_t dim = job.heads.head_dim_v;
#pragma unroll
    for (int half = 0; half < 2; ++half) {
        float sum = sums.weights[half];
        sum += __shfl_xor_sync(kAllLanes, sum, 1);
        sum += __shfl_xor_sync(kAllLanes, sum, 2);
        const float inverse = 1.0f / sum;
        const Query query = query_of_lane(block, half);
        if (!query.is_wanted) continue;
        if (job.panels) {
            put_query<kDim>(job, query, inverse, sums.values, half);
            continue;
        }
        float* to = job.attn + (int64_t{query.row} * job.heads.n_head + query.head) * dim;
#pragma unroll
        for (int d = 0; d < kDim / 8; ++d) {
            if (8 * d >= dim) break;
            const float* both = sums.values[d] + 2 * half;
            *reinterpret_cast<float2*>(to + 8 * d + lane_of_thread() % 4 * 2) =
                make_float2(both[0] * inverse, both[1] * inverse);
        }
    }
}

// ---- The kernel ---------------------------------------------------------------------------------

// What the block sees, to the sums of its queries.
template <int kType, int kDim>
__device__ inline void attend_tiles(const HeadCells& keys, const HeadCells& values,
                                    const Block& block, const Sight& sight, float softcap,
                                    RowsMemory<kDim>& memory, Sums<kDim>& sums) {
    const int32_t first_tile = block.piece.first / kPositions;
    const int32_t last_tile = block.piece.last / kPositions;
    take_tile<kType>(keys, block, first_tile * kPositions, memory.keys);
#pragma unroll 1
    for (int32_t tile = first_tile; tile <= last_tile; ++tile) {
        const int32_t begin = tile * kPositions;
        const int32_t end = begin + (kPositions - 1);
        const bool is_last = tile == last_tile;
        wait_copies<0>();
        __syncthreads();  // all keys are there; nobody reads the values before any more
        take_tile<kType>(values, block, begin, memory.values);
        const bool is_seen = sees_some(sight, begin, end);
        float s[kPositions / 8][4];
        if (is_seen) multiply_keys<kType>(memory.queries, memory.keys, s);
        wait_copies<0>();
        __syncthreads();  // the same of the values, and of these keys
        if (!is_last) take_tile<kType>(keys, block, begin + kPositions, memory.keys);
        if (!is_seen) continue;
        if (softcap != 0.0f) cap_scores(softcap, s);
        if (!sees_all(sight, begin, end)) hide_scores(sight, begin, s);
        softmax(s, sums);
        add_values<kType>(s, memory.values, sums);
    }
}

// Grid: [units][pieces].
template <int kType, int kDim>
__global__ void __launch_bounds__(kThreads, kDim == kMostDim ? 3 : 4)
    attend_rows(const AttentionJob job) {
    auto& memory = *static_cast<RowsMemory<kDim>*>(dynamic_shared());
    wait_for_last_kernel();
    const Block block = block_of_grid(job);
    clear_rest(job.heads.head_dim_k, memory.keys);
    clear_rest(job.heads.head_dim_v, memory.values);
    load_queries<kType, kDim>(job, block, memory.queries);
    Sums<kDim> sums = {};
    sums.largest[0] = sums.largest[1] = minus_infinity();
    const KvCache& cache = job.heads.cache;
    const HeadCells keys = cells_of_head<kType>(cache.keys, job.heads.layer, block.kv_head);
    const HeadCells values = cells_of_head<kType>(cache.values, job.heads.layer, block.kv_head);
    attend_tiles<kType>(keys, values, block, sight_of_lane(job, block), job.softcap, memory, sums);
    store_sums(job, block, sums);
}

using RowsKernel = void (*)(AttentionJob);

template <int kDim>
RowsKernel kernel_for(int32_t type) {
    switch (type) {
        case PUNA_KV_F16:
            return attend_rows<PUNA_KV_F16, kDim>;
        case PUNA_KV_BF16:
            return attend_rows<PUNA_KV_BF16, kDim>;
        default:
            return attend_rows<PUNA_KV_Q8_0, kDim>;
    }
}

bool fits(const KvHalf& half) {
    return half.type != PUNA_KV_F32 && half.head_dim % kPiece == 0 && half.head_dim <= kMostDim;
}

dim3 grid_of(const Forward& f) {
    const puna_model_spec& spec = f.weights->spec;
    const int32_t group = spec.n_head / spec.n_head_kv;
    const int32_t n_units = (group + kQueries - 1) / kQueries;
    return dim3(static_cast<unsigned>(spec.n_head_kv * n_units),
                static_cast<unsigned>(f.batch.n_pieces));
}

}  // namespace

bool attends_together(const Forward& f) {
    constexpr int64_t kFewestBlocks = 4;  // for so many multiprocessors one at least
    const KvCache& cache = f.cache;
    if (!f.traits.has_floats16 || f.options.deterministic != 0) return false;
    if (f.batch.n_rows <= kFewRows || f.batch.n_pieces == 0) return false;
    if (!fits(cache.keys) || !fits(cache.values) || cache.keys.type != cache.values.type) {
        return false;
    }
    const dim3 grid = grid_of(f);
    return int64_t{grid.x} * grid.y * kFewestBlocks >= f.n_processors;
}

cudaError_t attend_together(const Forward& f, const AttentionJob& attention) {
    AttentionJob job = attention;
    job.units_per_head = (job.group + kQueries - 1) / kQueries;
    const bool is_narrow = f.cache.keys.head_dim <= 64 && f.cache.values.head_dim <= 64;
    const RowsKernel kernel =
        is_narrow ? kernel_for<64>(f.cache.keys.type) : kernel_for<kMostDim>(f.cache.keys.type);
    const size_t shared_bytes = is_narrow ? sizeof(RowsMemory<64>) : sizeof(RowsMemory<kMostDim>);
    return launch_next(f.traits.overlaps, kernel, grid_of(f), dim3(kThreads), shared_bytes,
                       f.stream, job);
}

}  // namespace puna::cuda
