#include "support/amx_emulator.h"

#if defined(__linux__) && defined(__x86_64__)

#include <signal.h>
#include <ucontext.h>

#include <atomic>
#include <cstring>

#include "base/cpu_features.h"
#include "cpu/kernels/intrinsics_avx512.h"

namespace puna::test {
namespace {

// Formats and semantics: Intel 64 and IA-32 Architectures Software Developer's Manual, volume 2.

constexpr int kTiles = 8;
constexpr int kMostRows = 16;
constexpr int kMostRowBytes = 64;

struct TileState {
    bool configured = false;
    uint16_t row_bytes[kTiles] = {};
    uint8_t rows[kTiles] = {};
    alignas(64) uint8_t data[kTiles][kMostRows][kMostRowBytes] = {};
};
thread_local TileState tiles;
std::atomic<bool> is_installed = false;

enum Prefix : uint8_t { kNone = 0, k66 = 1, kF3 = 2, kF2 = 3 };

// An instruction with a three-byte VEX prefix of the map 0F38, 128 bits wide.
struct Instruction {
    Prefix prefix;
    uint8_t opcode;
    int reg;  // ModRM.reg
    int rm;   // ModRM.rm, of a register
    int vvvv;
    bool in_memory;
    uint64_t base;   // of the memory operand, with the displacement
    uint64_t index;  // scaled; of tile loads: the stride
    uint64_t length;
};

uint64_t general_register(const ucontext_t& context, int number) {
    constexpr int kOrder[16] = {REG_RAX, REG_RCX, REG_RDX, REG_RBX, REG_RSP, REG_RBP,
                                REG_RSI, REG_RDI, REG_R8,  REG_R9,  REG_R10, REG_R11,
                                REG_R12, REG_R13, REG_R14, REG_R15};
    return static_cast<uint64_t>(context.uc_mcontext.gregs[kOrder[number]]);
}

int64_t read_displacement(const uint8_t* at, int size) {
    if (size == 1) return static_cast<int8_t>(*at);
    int32_t value;
    std::memcpy(&value, at, sizeof value);
    return value;
}

// False for what is no such instruction.
bool decode(const ucontext_t& context, Instruction* out) {
    const auto start = static_cast<uint64_t>(context.uc_mcontext.gregs[REG_RIP]);
    const auto* at = reinterpret_cast<const uint8_t*>(start);
    if (at[0] != 0xc4 || (at[1] & 0x1f) != 2 || (at[2] & 0x84) != 0) return false;
    const bool r = !(at[1] & 0x80);
    const bool x = !(at[1] & 0x40);
    const bool b = !(at[1] & 0x20);
    out->prefix = static_cast<Prefix>(at[2] & 3);
    out->vvvv = ~(at[2] >> 3) & 15;
    out->opcode = at[3];
    const uint8_t modrm = at[4];
    at += 5;
    out->reg = (modrm >> 3 & 7) | r << 3;
    const int mod = modrm >> 6;
    const int rm = modrm & 7;
    out->rm = rm | b << 3;
    out->in_memory = mod != 3;
    out->base = out->index = 0;
    if (out->in_memory) {
        int displacement_size = mod == 1 ? 1 : mod == 2 ? 4 : 0;
        bool is_relative = false;
        if (rm == 4) {
            const uint8_t sib = *at++;
            const int index = (sib >> 3 & 7) | x << 3;
            if (index != 4) out->index = general_register(context, index) << (sib >> 6);
            if ((sib & 7) == 5 && mod == 0) {
                displacement_size = 4;
            } else {
                out->base = general_register(context, (sib & 7) | b << 3);
            }
        } else if (rm == 5 && mod == 0) {
            displacement_size = 4;
            is_relative = true;
        } else {
            out->base = general_register(context, out->rm);
        }
        if (displacement_size > 0) {
            out->base += static_cast<uint64_t>(read_displacement(at, displacement_size));
            at += displacement_size;
        }
        if (is_relative) out->base += reinterpret_cast<uint64_t>(at);
    }
    out->length = reinterpret_cast<uint64_t>(at) - start;
    return true;
}

bool configure(const uint8_t* memory) {
    TileState state;
    if (memory[0] > 1 || memory[1] != 0) return false;
    for (int i = 2; i < 16; ++i) {
        if (memory[i] != 0) return false;
    }
    for (int t = 0; t < 16; ++t) {
        uint16_t row_bytes;
        std::memcpy(&row_bytes, memory + 16 + 2 * t, sizeof row_bytes);
        const uint8_t rows = memory[48 + t];
        if (t >= kTiles ? row_bytes != 0 || rows != 0
                        : row_bytes > kMostRowBytes || rows > kMostRows) {
            return false;
        }
        if (t < kTiles) state.row_bytes[t] = row_bytes, state.rows[t] = rows;
    }
    state.configured = memory[0] == 1;
    tiles = state;
    return true;
}

bool is_usable(int tile) {
    return tile < kTiles && tiles.configured && tiles.rows[tile] > 0;
}

void load(int tile, uint64_t base, uint64_t stride) {
    std::memset(tiles.data[tile], 0, sizeof tiles.data[tile]);
    for (int row = 0; row < tiles.rows[tile]; ++row, base += stride) {
        std::memcpy(tiles.data[tile][row], reinterpret_cast<const void*>(base),
                    tiles.row_bytes[tile]);
    }
}

void store(int tile, uint64_t base, uint64_t stride) {
    for (int row = 0; row < tiles.rows[tile]; ++row, base += stride) {
        std::memcpy(reinterpret_cast<void*>(base), tiles.data[tile][row], tiles.row_bytes[tile]);
    }
}

// True of tiles whose shapes fit: a row of a has four bytes for each row of b.
bool is_product(int c, int a, int b) {
    if (!is_usable(c) || !is_usable(a) || !is_usable(b) || c == a || c == b || a == b) return false;
    return tiles.row_bytes[a] / 4 == tiles.rows[b] && tiles.row_bytes[b] == tiles.row_bytes[c] &&
           tiles.rows[a] == tiles.rows[c];
}

// Denormals count as zeros and results are rounded to the nearest. What the interrupted code had set comes back with
// the return from the signal.
void round_as_tiles_do() {
    constexpr uint32_t kMasked = 0x1f80, kFlushed = 0x8000, kZeros = 0x40;
    _mm_setcsr(kMasked | kFlushed | kZeros);
}

// c[m][n] += a[m][k] b[k][n], k counting pairs: the even and the odd ones are added apart.
[[gnu::target("avx512f")]] bool multiply_bf16(int c, int a, int b) {
    if (!is_product(c, a, b)) return false;
    round_as_tiles_do();
    const int n_pairs = tiles.row_bytes[a] / 4;
    const auto columns = static_cast<__mmask16>((1u << tiles.row_bytes[c] / 4) - 1);
    const __m512i second = _mm512_set1_epi32(static_cast<int32_t>(0xffff0000));
    for (int m = 0; m < tiles.rows[c]; ++m) {
        __m512 even = _mm512_setzero_ps();
        __m512 odd = _mm512_setzero_ps();
        for (int k = 0; k < n_pairs; ++k) {
            int32_t pair;
            std::memcpy(&pair, tiles.data[a][m] + 4 * k, sizeof pair);
            const __m512i of_a = _mm512_set1_epi32(pair);
            const __m512i of_b = _mm512_load_si512(tiles.data[b][k]);
            even = _mm512_fmadd_ps(_mm512_castsi512_ps(_mm512_slli_epi32(of_a, 16)),
                                   _mm512_castsi512_ps(_mm512_slli_epi32(of_b, 16)), even);
            odd = _mm512_fmadd_ps(_mm512_castsi512_ps(_mm512_and_si512(of_a, second)),
                                  _mm512_castsi512_ps(_mm512_and_si512(of_b, second)), odd);
        }
        uint8_t* const row = tiles.data[c][m];
        const __m512 sum = _mm512_add_ps(_mm512_load_ps(row), _mm512_add_ps(even, odd));
        _mm512_mask_store_ps(row, columns, sum);
    }
    return true;
}

// c[m][n] += a[m][k] b[k][n], bytes in fours, of type A and signed.
template <class A>
[[gnu::target("avx512f")]] bool multiply_bytes(int c, int a, int b) {
    if (!is_product(c, a, b)) return false;
    const auto columns = static_cast<__mmask16>((1u << tiles.row_bytes[c] / 4) - 1);
    for (int m = 0; m < tiles.rows[c]; ++m) {
        uint8_t* const row = tiles.data[c][m];
        __m512i sum = _mm512_load_si512(row);
        for (int k = 0; k < tiles.row_bytes[a]; ++k) {
            const __m512i of_a = _mm512_set1_epi32(static_cast<A>(tiles.data[a][m][k]));
            const __m512i fours = _mm512_load_si512(tiles.data[b][k / 4]);
            const __m128i above = _mm_cvtsi32_si128(24 - 8 * (k % 4));
            const __m512i of_b = _mm512_srai_epi32(_mm512_sll_epi32(fours, above), 24);
            sum = _mm512_add_epi32(sum, _mm512_mullo_epi32(of_a, of_b));
        }
        _mm512_mask_store_epi32(row, columns, sum);
    }
    return true;
}

// False for what the processor would refuse as well, and for instructions that no kernel uses.
bool carry_out(const Instruction& in) {
    switch (in.opcode) {
        case 0x49:
            if (in.prefix == kNone && in.in_memory && in.reg == 0) {
                return configure(reinterpret_cast<const uint8_t*>(in.base + in.index));
            }
            if (in.prefix == kNone && !in.in_memory && in.reg == 0 && in.rm == 0) {
                tiles = TileState();
                return true;
            }
            if (in.prefix != kF2 || in.in_memory || !is_usable(in.reg)) return false;
            std::memset(tiles.data[in.reg], 0, sizeof tiles.data[in.reg]);
            return true;
        case 0x4b:
            if (!in.in_memory || !is_usable(in.reg)) return false;
            if (in.prefix == kF2 || in.prefix == k66) {
                load(in.reg, in.base, in.index);
                return true;
            }
            if (in.prefix != kF3) return false;
            store(in.reg, in.base, in.index);
            return true;
        case 0x5c:
            return in.prefix == kF3 && !in.in_memory && multiply_bf16(in.reg, in.rm, in.vvvv);
        case 0x5e:
            if (in.in_memory) return false;
            if (in.prefix == kF2) return multiply_bytes<int8_t>(in.reg, in.rm, in.vvvv);
            return in.prefix == k66 && multiply_bytes<uint8_t>(in.reg, in.rm, in.vvvv);
        default:
            return false;
    }
}

// What is no AMX instruction ends the process as it would have without the handler. Those that follow the first at
// once are carried out with it: a signal costs more than they do.
void on_illegal_instruction(int, siginfo_t*, void* raw) {
    auto& context = *static_cast<ucontext_t*>(raw);
    Instruction instruction;
    bool is_first = true;
    while (decode(context, &instruction) && carry_out(instruction)) {
        context.uc_mcontext.gregs[REG_RIP] += static_cast<greg_t>(instruction.length);
        is_first = false;
    }
    if (is_first) signal(SIGILL, SIG_DFL);
}

bool install() {
    struct sigaction action = {};
    action.sa_sigaction = on_illegal_instruction;
    action.sa_flags = SA_SIGINFO | SA_NODEFER;
    is_installed = sigaction(SIGILL, &action, nullptr) == 0;
    return is_installed;
}

}  // namespace

uint64_t with_emulated_amx(uint64_t features) {
    using namespace puna::core;
    constexpr uint64_t kAmx = kCpuAmxTile | kCpuAmxBf16 | kCpuAmxInt8;
    constexpr uint64_t kOthers = kCpuAvx512Bf16 | kCpuAvx512Vbmi;
    if (features & kCpuAmxTile || (features & kOthers) != kOthers) return features;
    static const bool installed = install();
    return installed ? features | kAmx : features;
}

bool amx_is_emulated() {
    return is_installed;
}

}  // namespace puna::test

#else

namespace puna::test {

uint64_t with_emulated_amx(uint64_t features) {
    return features;
}
bool amx_is_emulated() {
    return false;
}

}  // namespace puna::test

#endif
