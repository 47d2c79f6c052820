#include "base/cpu_features.h"

#include <gtest/gtest.h>
#if defined(__linux__) && defined(__aarch64__)
#include <sys/auxv.h>
#endif

#include <set>
#include <sstream>
#include <string>

#include "base/amx_permission.h"
#include "base/file_reader.h"

namespace puna::core {
namespace {

TEST(CpuFeatures, EveryFeatureHasAName) {
    std::set<std::string> names;
    for (int bit = 0; bit < 64; ++bit) {
        const std::string name = cpu_feature_names(uint64_t{1} << bit);
        const bool known = bit <= 20 || (bit >= 32 && bit <= 35);
        EXPECT_EQ(!name.empty(), known) << bit;
        if (known) {
            EXPECT_TRUE(names.insert(name).second) << name;
        }
    }
    EXPECT_EQ(cpu_feature_names(0), "");
    EXPECT_EQ(cpu_feature_names(kCpuAvx512F | kCpuSse2 | kCpuAvx), "sse2 avx avx512f");
}

TEST(CpuFeatures, AnswersAreConsistent) {
    const uint64_t features = detect_cpu_features();
    EXPECT_EQ(features, detect_cpu_features());
#if defined(__x86_64__)
    EXPECT_TRUE(features & kCpuSse2);
    EXPECT_FALSE(features & kCpuNeon);
#elif defined(__aarch64__)
    EXPECT_TRUE(features & kCpuNeon);
    EXPECT_FALSE(features & kCpuSse2);
#endif
    if (features & (kCpuAvx2 | kCpuFma | kCpuF16c | kCpuAvx512F)) {
        EXPECT_TRUE(features & kCpuAvx);
    }
    if (features & (kCpuAvx512Bw | kCpuAvx512Vnni)) {
        EXPECT_TRUE(features & kCpuAvx512F);
    }
    if (features & (kCpuAmxBf16 | kCpuAmxInt8)) {
        EXPECT_TRUE(features & kCpuAmxTile);
    }
}

#if defined(__linux__) && defined(__x86_64__)
// The kernel's own list, which leaves out what it has not enabled.
TEST(CpuFeatures, AgreesWithTheKernel) {
    const Result<std::string> info = read_text_file("/proc/cpuinfo", 1 << 24);
    ASSERT_TRUE(info.ok());
    const size_t at = info->find("\nflags");
    if (at == std::string::npos) GTEST_SKIP() << "/proc/cpuinfo lists no flags";
    std::istringstream line(info->substr(at + 1, info->find('\n', at + 1) - at - 1));
    std::set<std::string> flags;
    for (std::string flag; line >> flag;) flags.insert(flag);

    const uint64_t features = detect_cpu_features();
    const auto expect = [&](CpuFeature feature, const char* flag) {
        EXPECT_EQ((features & feature) != 0, flags.count(flag) != 0) << flag;
    };
    expect(kCpuSse2, "sse2");
    expect(kCpuAvx, "avx");
    expect(kCpuAvx2, "avx2");
    expect(kCpuFma, "fma");
    expect(kCpuF16c, "f16c");
    expect(kCpuBmi2, "bmi2");
    expect(kCpuAvx512F, "avx512f");
    expect(kCpuAvx512Bw, "avx512bw");
    expect(kCpuAvx512Dq, "avx512dq");
    expect(kCpuAvx512Vl, "avx512vl");
    expect(kCpuAvx512Vnni, "avx512_vnni");
    expect(kCpuAvx512Bf16, "avx512_bf16");
    expect(kCpuAvx512Vbmi, "avx512vbmi");
    if (features & kCpuAvx512F) expect(kCpuGfni, "gfni");
    // Younger than some kernels that save the state: the kernel may not know the name.
    if (flags.count("avx512_fp16")) {
        EXPECT_TRUE(features & kCpuAvx512Fp16);
    }
    if (flags.count("avx_vnni")) {
        EXPECT_TRUE(features & kCpuAvxVnni);
    }
    if (flags.count("amx_tile")) {
        EXPECT_TRUE(features & kCpuAmxTile);
    }
    if (flags.count("amx_bf16")) {
        EXPECT_TRUE(features & kCpuAmxBf16);
    }
    if (flags.count("amx_int8")) {
        EXPECT_TRUE(features & kCpuAmxInt8);
    }

    const std::string brand = cpu_brand();
    EXPECT_FALSE(brand.empty());
    EXPECT_NE(info->find(brand), std::string::npos) << brand;
}
#endif

#if defined(__linux__) && defined(__aarch64__)
// The registers in which a processor tells its features; the kernel lets programs read them.
TEST(CpuFeatures, AgreesWithTheIdRegisters) {
    constexpr unsigned long kHwcapCpuid = 1ul << 11;
    if (!(getauxval(AT_HWCAP) & kHwcapCpuid)) GTEST_SKIP() << "the kernel does not show them";
    uint64_t isar0 = 0, isar1 = 0, pfr0 = 0;
    __asm__("mrs %0, ID_AA64ISAR0_EL1" : "=r"(isar0));
    __asm__("mrs %0, ID_AA64ISAR1_EL1" : "=r"(isar1));
    __asm__("mrs %0, ID_AA64PFR0_EL1" : "=r"(pfr0));
    const uint64_t features = detect_cpu_features();
    EXPECT_EQ((features & kCpuNeon) != 0, (pfr0 >> 20 & 15) != 15);
    EXPECT_EQ((features & kCpuNeonFp16) != 0, (pfr0 >> 20 & 15) == 1);
    EXPECT_EQ((features & kCpuNeonDotprod) != 0, (isar0 >> 44 & 15) != 0);
    EXPECT_EQ((features & kCpuNeonI8mm) != 0, (isar1 >> 52 & 15) != 0);
}
#endif

TEST(AmxPermission, IsGrantedOrRefusedTheSameWayTwice) {
    const Status first = request_amx_permission();
    const Status second = request_amx_permission();
    EXPECT_EQ(first.code(), second.code());
    if (!first.ok()) {
        EXPECT_EQ(first.code(), PUNA_ERROR_UNSUPPORTED);
    }
    if (!(detect_cpu_features() & kCpuAmxTile)) {
        EXPECT_FALSE(first.ok());
    }
}

}  // namespace
}  // namespace puna::core
