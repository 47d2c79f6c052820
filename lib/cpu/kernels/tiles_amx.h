// The AMX instructions that kernels use, as inline assembly: the intrinsics of GCC 12 do not tell the
// compiler which memory they read, so that it drops or delays the stores before them.
//
// A tile is up to 16 rows of up to 64 bytes. Of two tiles of bf16 elements, a [16][32] and b [16][16][2],
// `multiply` adds to a tile of floats c [16][16]: c[m][n] += sum_k a[m][2 k] b[k][n][0] + a[m][2 k + 1] b[k][n][1].
// `multiply_bytes` does the same with four signed bytes for each two of bf16, and c of 32-bit integers;
// `multiply_unsigned_bytes` takes those of a as unsigned.
// Source: Intel 64 and IA-32 Architectures Software Developer's Manual, TDPBF16PS, TDPBSSD and TDPBUSD.
#pragma once

#include <cstdint>

namespace puna::core {
namespace {

constexpr int32_t kTileRows = 16;
constexpr int64_t kTileRowBytes = 64;
constexpr int64_t kTileBytes = kTileRows * kTileRowBytes;

// The 64 bytes of LDTILECFG for palette 1: the bytes of a row and the rows of each of eight tiles.
struct alignas(64) TileShapes {
    uint8_t palette = 1;
    uint8_t start_row = 0;
    uint8_t reserved[14] = {};
    uint16_t row_bytes[16] = {64, 64, 64, 64, 64, 64, 64, 64};
    uint8_t rows[16] = {16, 16, 16, 16, 16, 16, 16, 16};
};
static_assert(sizeof(TileShapes) == 64);

// All eight tiles while it lives, at their full size if nothing else is said. The caller's thread owns them:
// none of them survives a call of another function by the rules of the ABI.
class Tiles {
  public:
    explicit Tiles(const TileShapes& shapes = {}) {
        __asm__ volatile("ldtilecfg %0" : : "m"(shapes));
    }
    ~Tiles() { __asm__ volatile("tilerelease"); }
    Tiles(const Tiles&) = delete;
    Tiles& operator=(const Tiles&) = delete;

    template <int kTile>
    static void clear() {
        __asm__ volatile("tilezero %%tmm%c0" : : "i"(kTile));
    }
    // Rows that follow each other.
    template <int kTile>
    static void load(const void* rows) {
        __asm__ volatile("tileloadd (%0,%1,1), %%tmm%c2"
                         :
                         : "r"(rows), "r"(kTileRowBytes), "i"(kTile),
                           "m"(*static_cast<const uint8_t(*)[kTileBytes]>(rows)));
    }
    // The same for what passes but once: it does not push other data out of L1.
    template <int kTile>
    static void load_once(const void* rows) {
        __asm__ volatile("tileloaddt1 (%0,%1,1), %%tmm%c2"
                         :
                         : "r"(rows), "r"(kTileRowBytes), "i"(kTile),
                           "m"(*static_cast<const uint8_t(*)[kTileBytes]>(rows)));
    }
    template <int kTile>
    static void store(void* rows) {
        __asm__ volatile("tilestored %%tmm%c3, (%1,%2,1)"
                         : "=m"(*static_cast<uint8_t(*)[kTileBytes]>(rows))
                         : "r"(rows), "r"(kTileRowBytes), "i"(kTile));
    }
    // kRows of kRowBytes, kStride bytes apart: the shape of the tile.
    template <int kTile, int64_t kStride, int64_t kRows, int64_t kRowBytes>
    static void load_apart(const void* rows) {
        constexpr int64_t kBytes = (kRows - 1) * kStride + kRowBytes;
        __asm__ volatile("tileloadd (%0,%1,1), %%tmm%c2"
                         :
                         : "r"(rows), "r"(kStride), "i"(kTile),
                           "m"(*static_cast<const uint8_t(*)[kBytes]>(rows)));
    }
    // Rows of memory that nobody writes, which the compiler need not know of.
    template <int kTile>
    static void load_in_place(const void* rows, int64_t stride) {
        __asm__ volatile("tileloadd (%0,%1,1), %%tmm%c2" : : "r"(rows), "r"(stride), "i"(kTile));
    }
    template <int kTile, int64_t kStride>
    static void store_apart(void* rows) {
        constexpr int64_t kBytes = (kTileRows - 1) * kStride + kTileRowBytes;
        __asm__ volatile("tilestored %%tmm%c3, (%1,%2,1)"
                         : "+m"(*static_cast<uint8_t(*)[kBytes]>(rows))
                         : "r"(rows), "r"(kStride), "i"(kTile));
    }
    template <int kC, int kA, int kB>
    static void multiply() {
        __asm__ volatile("tdpbf16ps %%tmm%c2, %%tmm%c1, %%tmm%c0" : : "i"(kC), "i"(kA), "i"(kB));
    }
    template <int kC, int kA, int kB>
    static void multiply_bytes() {
        __asm__ volatile("tdpbssd %%tmm%c2, %%tmm%c1, %%tmm%c0" : : "i"(kC), "i"(kA), "i"(kB));
    }
    template <int kC, int kA, int kB>
    static void multiply_unsigned_bytes() {
        __asm__ volatile("tdpbusd %%tmm%c2, %%tmm%c1, %%tmm%c0" : : "i"(kC), "i"(kA), "i"(kB));
    }
};

}  // namespace
}  // namespace puna::core
