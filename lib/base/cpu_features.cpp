#include "base/cpu_features.h"

#include <cstring>

#if defined(__x86_64__) || defined(__i386__)
#include <cpuid.h>
#endif

namespace puna::core {
namespace {

struct FeatureName {
    CpuFeature feature;
    const char* name;
};

constexpr FeatureName kFeatureNames[] = {
    {kCpuSse2, "sse2"},
    {kCpuAvx, "avx"},
    {kCpuAvx2, "avx2"},
    {kCpuFma, "fma"},
    {kCpuF16c, "f16c"},
    {kCpuBmi2, "bmi2"},
    {kCpuAvx512F, "avx512f"},
    {kCpuAvx512Bw, "avx512bw"},
    {kCpuAvx512Dq, "avx512dq"},
    {kCpuAvx512Vl, "avx512vl"},
    {kCpuAvx512Vnni, "avx512vnni"},
    {kCpuAvx512Bf16, "avx512bf16"},
    {kCpuAvx512Fp16, "avx512fp16"},
    {kCpuAmxTile, "amx_tile"},
    {kCpuAmxBf16, "amx_bf16"},
    {kCpuAmxInt8, "amx_int8"},
    {kCpuIntel, "intel"},
    {kCpuGfni, "gfni"},
    {kCpuAvx512Vbmi, "avx512vbmi"},
    {kCpuZen5, "zen5"},
    {kCpuAvxVnni, "avxvnni"},
    {kCpuNeon, "neon"},
    {kCpuNeonDotprod, "dotprod"},
    {kCpuNeonFp16, "fp16"},
    {kCpuNeonI8mm, "i8mm"},
};

}  // namespace

std::string cpu_feature_names(uint64_t features) {
    std::string names;
    for (const FeatureName& entry : kFeatureNames) {
        if (!(features & entry.feature)) continue;
        if (!names.empty()) names += ' ';
        names += entry.name;
    }
    return names;
}

#if defined(__x86_64__) || defined(__i386__)

namespace {

struct Cpuid {
    uint32_t eax = 0, ebx = 0, ecx = 0, edx = 0;
};

// All zero when the processor does not know the leaf.
Cpuid cpuid(uint32_t leaf, uint32_t subleaf = 0) {
    Cpuid r;
    if (!__get_cpuid_count(leaf, subleaf, &r.eax, &r.ebx, &r.ecx, &r.edx)) return Cpuid();
    return r;
}

bool bit(uint32_t word, int index) {
    return word >> index & 1;
}

// Which register states the operating system saves. As an instruction, not an intrinsic: that one
// needs -mxsave for the whole file.
uint64_t read_xcr0() {
    uint32_t low = 0, high = 0;
    __asm__ volatile("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
    return uint64_t{high} << 32 | low;
}

constexpr uint64_t kXcr0Avx = 0x6;          // XMM, YMM
constexpr uint64_t kXcr0Avx512 = 0xE6;      // and opmask, upper halves, ZMM16-31
constexpr uint64_t kXcr0AmxTile = 0x60000;  // tile configuration and data

}  // namespace

uint64_t detect_cpu_features() {
    const Cpuid l1 = cpuid(1);
    const Cpuid l7 = cpuid(7);
    const Cpuid l71 = l7.eax >= 1 ? cpuid(7, 1) : Cpuid();
    const bool os_saves = bit(l1.ecx, 27);
    const uint64_t xcr0 = os_saves ? read_xcr0() : 0;

    uint64_t features = 0;
    const auto add = [&](bool present, CpuFeature feature) {
        if (present) features |= feature;
    };
    const Cpuid l0 = cpuid(0);  // the name of its maker, in three pieces
    add(l0.ebx == 0x756e6547 && l0.edx == 0x49656e69 && l0.ecx == 0x6c65746e, kCpuIntel);
    const bool is_amd = l0.ebx == 0x68747541 && l0.edx == 0x69746e65 && l0.ecx == 0x444d4163;
    const uint32_t family = (l1.eax >> 8 & 0xf) + (l1.eax >> 20 & 0xff);
    add(is_amd && family >= 0x1a, kCpuZen5);
    add(bit(l1.edx, 26), kCpuSse2);
    add(bit(l7.ebx, 8), kCpuBmi2);
    if ((xcr0 & kXcr0Avx) == kXcr0Avx) {
        add(bit(l1.ecx, 28), kCpuAvx);
        add(bit(l7.ebx, 5), kCpuAvx2);
        add(bit(l1.ecx, 12), kCpuFma);
        add(bit(l1.ecx, 29), kCpuF16c);
        add(bit(l71.eax, 4), kCpuAvxVnni);
    }
    if ((xcr0 & kXcr0Avx512) == kXcr0Avx512) {
        add(bit(l7.ebx, 16), kCpuAvx512F);
        add(bit(l7.ebx, 30), kCpuAvx512Bw);
        add(bit(l7.ebx, 17), kCpuAvx512Dq);
        add(bit(l7.ebx, 31), kCpuAvx512Vl);
        add(bit(l7.ecx, 1), kCpuAvx512Vbmi);
        add(bit(l7.ecx, 8), kCpuGfni);
        add(bit(l7.ecx, 11), kCpuAvx512Vnni);
        add(bit(l71.eax, 5), kCpuAvx512Bf16);
        add(bit(l7.edx, 23), kCpuAvx512Fp16);
    }
    if ((xcr0 & kXcr0AmxTile) == kXcr0AmxTile) {
        add(bit(l7.edx, 24), kCpuAmxTile);
        add(bit(l7.edx, 22), kCpuAmxBf16);
        add(bit(l7.edx, 25), kCpuAmxInt8);
    }
    return features;
}

std::string cpu_brand() {
    char brand[49] = "";
    for (uint32_t i = 0; i < 3; ++i) {
        const Cpuid r = cpuid(0x80000002 + i);
        const uint32_t words[4] = {r.eax, r.ebx, r.ecx, r.edx};
        std::memcpy(brand + 16 * i, words, 16);
    }
    const std::string text = brand;
    const size_t begin = text.find_first_not_of(' ');
    if (begin == std::string::npos) return std::string();
    return text.substr(begin, text.find_last_not_of(' ') - begin + 1);
}

#else

uint64_t detect_cpu_features() {
    return detect_os_cpu_features();
}
std::string cpu_brand() {
    return os_cpu_brand();
}

#endif

}  // namespace puna::core
