# puna_build_options: what every target of this project is compiled with. Never exported.

set(CMAKE_CXX_STANDARD 20)
set(CMAKE_CXX_STANDARD_REQUIRED ON)
set(CMAKE_CXX_EXTENSIONS OFF)
set(CMAKE_C_STANDARD 17)
set(CMAKE_C_STANDARD_REQUIRED ON)
set(CMAKE_C_EXTENSIONS OFF)
set(CMAKE_CXX_FLAGS_RELEASE "-O2 -DNDEBUG")
set(CMAKE_C_FLAGS_RELEASE "-O2 -DNDEBUG")

add_library(puna_build_options INTERFACE)
target_compile_options(puna_build_options INTERFACE
    -Wall -Wextra -Wpedantic -Wshadow -Wconversion -Wno-sign-conversion
    $<$<BOOL:${PUNA_WERROR}>:-Werror>
    -fvisibility=hidden
    $<$<COMPILE_LANGUAGE:CXX>:-fvisibility-inlines-hidden>
    # The source says where products and sums are fused, so that no compiler changes a result.
    -ffp-contract=off
    -fno-math-errno)

if(PUNA_SANITIZE)
    target_compile_options(puna_build_options INTERFACE
        -fsanitize=${PUNA_SANITIZE} -fno-sanitize-recover=all -fno-omit-frame-pointer)
    target_link_options(puna_build_options INTERFACE -fsanitize=${PUNA_SANITIZE})
    target_compile_definitions(puna_build_options INTERFACE PUNA_SANITIZED)
endif()

if(WIN32)
    target_compile_definitions(puna_build_options INTERFACE
        UNICODE _UNICODE NOMINMAX WIN32_LEAN_AND_MEAN __USE_MINGW_ANSI_STDIO=1)
endif()
