#include <windows.h>

#include "base/cpu_features.h"
#include "base/wide_path.h"

namespace puna::core {

uint64_t detect_os_cpu_features() {
    uint64_t features = 0;
#if defined(__aarch64__)
    // PF_ARM_V82_DP_, _FP16_ and _I8MM_INSTRUCTIONS_AVAILABLE, which older headers lack. The last
    // two are answered by Windows 11 24H2 on; before that the features count as absent.
    constexpr DWORD kDotprod = 43;
    constexpr DWORD kI8mm = 66;
    constexpr DWORD kFp16 = 67;
    features |= kCpuNeon;
    if (IsProcessorFeaturePresent(kDotprod)) features |= kCpuNeonDotprod;
    if (IsProcessorFeaturePresent(kI8mm)) features |= kCpuNeonI8mm;
    if (IsProcessorFeaturePresent(kFp16)) features |= kCpuNeonFp16;
#endif
    return features;
}

std::string os_cpu_brand() {
    wchar_t brand[128] = L"";
    DWORD size = sizeof brand;
    const LSTATUS rc =
        RegGetValueW(HKEY_LOCAL_MACHINE, L"HARDWARE\\DESCRIPTION\\System\\CentralProcessor\\0",
                     L"ProcessorNameString", RRF_RT_REG_SZ, nullptr, brand, &size);
    return rc == ERROR_SUCCESS ? narrow_text(brand) : std::string();
}

}  // namespace puna::core
