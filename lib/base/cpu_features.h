// What the processor offers and the operating system has enabled.
#pragma once

#include <cstdint>
#include <string>

namespace puna::core {

// Bits of a feature mask. A kernel set states the mask it needs.
enum CpuFeature : uint64_t {
    kCpuSse2 = uint64_t{1} << 0,
    kCpuAvx = uint64_t{1} << 1,
    kCpuAvx2 = uint64_t{1} << 2,
    kCpuFma = uint64_t{1} << 3,
    kCpuF16c = uint64_t{1} << 4,
    kCpuBmi2 = uint64_t{1} << 5,
    kCpuAvx512F = uint64_t{1} << 6,
    kCpuAvx512Bw = uint64_t{1} << 7,
    kCpuAvx512Dq = uint64_t{1} << 8,
    kCpuAvx512Vl = uint64_t{1} << 9,
    kCpuAvx512Vnni = uint64_t{1} << 10,
    kCpuAvx512Bf16 = uint64_t{1} << 11,
    kCpuAvx512Fp16 = uint64_t{1} << 12,
    kCpuAmxTile = uint64_t{1} << 13,  // usable after request_amx_permission()
    kCpuAmxBf16 = uint64_t{1} << 14,
    kCpuAmxInt8 = uint64_t{1} << 15,
    kCpuIntel = uint64_t{1} << 16,  // who made it: kernels do not need it, but are chosen by it
    kCpuGfni = uint64_t{1} << 17,   // with vectors of 512 bits
    kCpuAvx512Vbmi = uint64_t{1} << 18,
    kCpuZen5 = uint64_t{1} << 19,  // or a later family of AMD; kernels are chosen by it
    kCpuAvxVnni = uint64_t{1} << 20,

    kCpuNeon = uint64_t{1} << 32,
    kCpuNeonDotprod = uint64_t{1} << 33,
    kCpuNeonFp16 = uint64_t{1} << 34,
    kCpuNeonI8mm = uint64_t{1} << 35,
};

// Asks the processor each time (microseconds, more under a hypervisor): keep the answer.
uint64_t detect_cpu_features();

// "sse2 avx avx2", in the order of the bits.
std::string cpu_feature_names(uint64_t features);

// The name the processor gives itself; empty when it gives none.
std::string cpu_brand();

// The part that only the operating system can answer; used by the functions above.
uint64_t detect_os_cpu_features();
std::string os_cpu_brand();

}  // namespace puna::core
