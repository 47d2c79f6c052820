#include "base/cpu_features.h"

#if defined(__aarch64__) && defined(__linux__)
#include <sys/auxv.h>

#include <string_view>

#include "base/file_reader.h"
#elif defined(__aarch64__) && defined(__APPLE__)
#include <sys/sysctl.h>
#endif

namespace puna::core {

#if defined(__aarch64__) && defined(__linux__)

uint64_t detect_os_cpu_features() {
    // The numbers are the kernel's ABI; older headers lack some of the names.
    constexpr unsigned long kHwcapAsimd = 1ul << 1;
    constexpr unsigned long kHwcapAsimdHp = 1ul << 10;
    constexpr unsigned long kHwcapAsimdDp = 1ul << 20;
    constexpr unsigned long kHwcap2I8mm = 1ul << 13;
    const unsigned long hwcap = getauxval(AT_HWCAP);
    const unsigned long hwcap2 = getauxval(AT_HWCAP2);

    uint64_t features = 0;
    if (hwcap & kHwcapAsimd) features |= kCpuNeon;
    if (hwcap & kHwcapAsimdDp) features |= kCpuNeonDotprod;
    if (hwcap & kHwcapAsimdHp) features |= kCpuNeonFp16;
    if (hwcap2 & kHwcap2I8mm) features |= kCpuNeonI8mm;
    return features;
}

// Arm processors have no name of their own, only numbers: "ARM implementer 0x41 part 0xd40".
std::string os_cpu_brand() {
    const Result<std::string> info = read_text_file("/proc/cpuinfo", 1 << 20);
    if (!info.ok()) return std::string();
    const auto value_of = [&](std::string_view key) {
        const size_t at = info->find(key);
        const size_t begin = at == std::string::npos ? at : info->find("0x", at);
        if (begin == std::string::npos) return std::string("?");
        return info->substr(begin, info->find('\n', begin) - begin);
    };
    return "ARM implementer " + value_of("CPU implementer") + " part " + value_of("CPU part");
}

#elif defined(__aarch64__) && defined(__APPLE__)

static bool has_feature(const char* name) {
    int value = 0;
    size_t size = sizeof value;
    return sysctlbyname(name, &value, &size, nullptr, 0) == 0 && value != 0;
}

uint64_t detect_os_cpu_features() {
    uint64_t features = kCpuNeon;
    if (has_feature("hw.optional.arm.FEAT_DotProd")) features |= kCpuNeonDotprod;
    if (has_feature("hw.optional.arm.FEAT_FP16")) features |= kCpuNeonFp16;
    if (has_feature("hw.optional.arm.FEAT_I8MM")) features |= kCpuNeonI8mm;
    return features;
}

std::string os_cpu_brand() {
    char brand[128] = "";
    size_t size = sizeof brand - 1;
    sysctlbyname("machdep.cpu.brand_string", brand, &size, nullptr, 0);
    return brand;
}

#else

uint64_t detect_os_cpu_features() {
    return 0;
}
std::string os_cpu_brand() {
    return std::string();
}

#endif

}  // namespace puna::core
