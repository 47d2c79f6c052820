# The instruction sets that kernels are written for: the only place where compiler flags and the
# CPU features that make them safe to run are named, so that the two cannot part.
#
# A file lib/cpu/kernels/<family>_<set>.cpp is compiled with the flags of its set. The generated
# header kernel_sets.h holds, for every set, PUNA_HAVE_KERNELS_<SET> (1 when this build contains
# it) and PUNA_KERNEL_SET_<SET>_FEATURES (bits of base/cpu_features.h). Files named *_scalar.cpp
# are compiled with the plain flags of the architecture.
#
#   puna_kernel_set(<name> ARCH <arch> [BASE <set>] [PACKING <set>] FLAGS <flag>... FEATURES <name>...)
#
# A set has the flags and features of its BASE and its own. One that multiplies rows as another packs
# them names that as PACKING, and is never built without it.

include(CheckCXXCompilerFlag)

if(CMAKE_SYSTEM_PROCESSOR MATCHES "^(x86_64|AMD64|amd64)$" AND CMAKE_SIZEOF_VOID_P EQUAL 8)
    set(PUNA_ARCH x86_64)
elseif(CMAKE_SYSTEM_PROCESSOR MATCHES "^(aarch64|ARM64|arm64)$")
    set(PUNA_ARCH aarch64)
else()
    set(PUNA_ARCH other)
endif()

set(PUNA_KERNEL_SETS "")

macro(puna_kernel_set name)
    cmake_parse_arguments(set "" "ARCH;BASE;PACKING" "FLAGS;FEATURES" ${ARGN})
    list(APPEND PUNA_KERNEL_SETS ${name})
    set(PUNA_KERNEL_ARCH_${name} ${set_ARCH})
    set(PUNA_KERNEL_PACKING_${name} ${set_PACKING})
    set(PUNA_KERNEL_FLAGS_${name} ${PUNA_KERNEL_FLAGS_${set_BASE}} ${set_FLAGS})
    set(PUNA_KERNEL_FEATURES_${name} ${PUNA_KERNEL_FEATURES_${set_BASE}} ${set_FEATURES})
endmacro()

puna_kernel_set(avx2 ARCH x86_64
    FLAGS -mavx2 -mfma -mf16c -mbmi2
    FEATURES Avx Avx2 Fma F16c Bmi2)
puna_kernel_set(avx2_vnni ARCH x86_64 BASE avx2 PACKING avx2
    FLAGS -mavxvnni
    FEATURES AvxVnni)
puna_kernel_set(avx512 ARCH x86_64 BASE avx2
    FLAGS -mavx512f -mavx512bw -mavx512dq -mavx512vl -mavx512vnni
    FEATURES Avx512F Avx512Bw Avx512Dq Avx512Vl Avx512Vnni)
puna_kernel_set(avx512_gfni ARCH x86_64 BASE avx512
    FLAGS -mgfni -mavx512vbmi
    FEATURES Gfni Avx512Vbmi)
puna_kernel_set(avx512_bf16 ARCH x86_64 BASE avx512_gfni
    FLAGS -mavx512bf16
    FEATURES Avx512Bf16)
puna_kernel_set(amx ARCH x86_64 BASE avx512_bf16
    FLAGS -mamx-tile -mamx-bf16 -mamx-int8
    FEATURES AmxTile AmxBf16 AmxInt8)
puna_kernel_set(neon ARCH aarch64
    FLAGS -march=armv8.2-a+dotprod
    FEATURES Neon NeonDotprod)
puna_kernel_set(neon_i8mm ARCH aarch64 PACKING neon
    FLAGS -march=armv8.2-a+dotprod+i8mm
    FEATURES Neon NeonDotprod NeonI8mm)

set(PUNA_BUILD_KERNELS all CACHE STRING "Kernel sets to build beside scalar: all, or a list of names")
set(PUNA_WANTED_KERNELS scalar)
foreach(name IN LISTS PUNA_BUILD_KERNELS)
    if(name STREQUAL all)
        list(APPEND PUNA_WANTED_KERNELS ${PUNA_KERNEL_SETS})
    elseif(name STREQUAL scalar OR name IN_LIST PUNA_KERNEL_SETS)
        list(APPEND PUNA_WANTED_KERNELS ${name} ${PUNA_KERNEL_PACKING_${name}})
    else()
        message(FATAL_ERROR "PUNA_BUILD_KERNELS: no kernel set is called ${name}; there are "
            "all, scalar, ${PUNA_KERNEL_SETS}")
    endif()
endforeach()

# Defines one object library puna_kernels_<set> for each set that has files here, and the list of
# them, PUNA_KERNEL_LIBRARIES; writes kernel_sets.h to the folder `header_dir`.
function(puna_add_kernel_libraries kernels_dir header_dir)
    file(GLOB files CONFIGURE_DEPENDS "${kernels_dir}/*.cpp")
    foreach(name IN ITEMS scalar ${PUNA_KERNEL_SETS})
        set(files_${name} ${files})
        list(FILTER files_${name} INCLUDE REGEX "_${name}\\.cpp$")
        list(REMOVE_ITEM files ${files_${name}})
    endforeach()
    if(files)
        message(FATAL_ERROR "no kernel set of cmake/kernel_sets.cmake ends the name of: ${files}")
    endif()

    set(PUNA_KERNEL_ARCH_scalar ${PUNA_ARCH})
    set(libraries "")
    set(header "// Written by cmake/kernel_sets.cmake.\n#pragma once\n\n#include \"base/cpu_features.h\"\n")
    foreach(name IN ITEMS scalar ${PUNA_KERNEL_SETS})
        set(have 0)
        if(name IN_LIST PUNA_WANTED_KERNELS AND files_${name} AND
           PUNA_KERNEL_ARCH_${name} STREQUAL PUNA_ARCH)
            string(JOIN " " CMAKE_REQUIRED_FLAGS ${PUNA_KERNEL_FLAGS_${name}})
            check_cxx_compiler_flag("" PUNA_COMPILER_TAKES_${name})
            set(have ${PUNA_COMPILER_TAKES_${name}})
        endif()
        if(have)
            add_library(puna_kernels_${name} OBJECT ${files_${name}})
            # Without exceptions, so that objects with destructors bring no symbols of the runtime.
            target_compile_options(puna_kernels_${name} PRIVATE
                ${PUNA_KERNEL_FLAGS_${name}} -fno-exceptions $<$<CONFIG:Release>:-O3>)
            if(MINGW AND CMAKE_CXX_COMPILER_ID STREQUAL GNU)
                # GCC takes the stack of Windows, aligned to 16, for good enough for wider spills.
                target_compile_options(puna_kernels_${name} PRIVATE
                    -Wa,-muse-unaligned-vector-move)
            endif()
            if(PUNA_ARCH STREQUAL aarch64)
                # Both compilers move loads far up, away from their use, until accumulators are
                # spilled; the sources have them in a good order.
                target_compile_options(puna_kernels_${name} PRIVATE
                    $<$<CXX_COMPILER_ID:GNU>:-fno-schedule-insns>
                    "$<$<CXX_COMPILER_ID:Clang,AppleClang>:SHELL:-mllvm -enable-misched=false>")
            endif()
            list(APPEND libraries puna_kernels_${name})
        endif()
        if(NOT name STREQUAL scalar)
            list(TRANSFORM PUNA_KERNEL_FEATURES_${name} PREPEND "::puna::core::kCpu"
                OUTPUT_VARIABLE features)
            list(JOIN features " | " features)
            string(TOUPPER ${name} upper)
            string(APPEND header "\n#define PUNA_HAVE_KERNELS_${upper} ${have}\n"
                "#define PUNA_KERNEL_SET_${upper}_FEATURES (${features})\n")
        endif()
    endforeach()
    file(CONFIGURE OUTPUT "${header_dir}/kernel_sets.h" CONTENT "${header}" @ONLY)
    set(PUNA_KERNEL_LIBRARIES ${libraries} PARENT_SCOPE)
endfunction()
