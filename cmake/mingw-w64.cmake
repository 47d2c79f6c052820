# Cross-compiles for Windows with Debian's mingw-w64, and runs what it built under Wine.
# PUNA_MINGW_ARCH: x86_64 or i686.

set(PUNA_MINGW_ARCH x86_64 CACHE STRING "Processor of the Windows build")
set(CMAKE_TRY_COMPILE_PLATFORM_VARIABLES PUNA_MINGW_ARCH)
set(CMAKE_SYSTEM_NAME Windows)
set(CMAKE_SYSTEM_PROCESSOR ${PUNA_MINGW_ARCH})
# The variant with POSIX threads: the other has no std::thread, which the tests use.
set(CMAKE_C_COMPILER ${PUNA_MINGW_ARCH}-w64-mingw32-gcc-posix)
set(CMAKE_CXX_COMPILER ${PUNA_MINGW_ARCH}-w64-mingw32-g++-posix)
set(CMAKE_RC_COMPILER ${PUNA_MINGW_ARCH}-w64-mingw32-windres)
set(CMAKE_FIND_ROOT_PATH /usr/${PUNA_MINGW_ARCH}-w64-mingw32)
set(CMAKE_FIND_ROOT_PATH_MODE_PROGRAM NEVER)
set(CMAKE_FIND_ROOT_PATH_MODE_LIBRARY ONLY)
set(CMAKE_FIND_ROOT_PATH_MODE_INCLUDE ONLY)
set(CMAKE_FIND_ROOT_PATH_MODE_PACKAGE ONLY)

# Windows has none of the compiler's own libraries: each module brings them along.
foreach(kind IN ITEMS EXE SHARED MODULE)
    set(CMAKE_${kind}_LINKER_FLAGS_INIT -static)
endforeach()

# Wine as Debian's package wine64 installs it, which has no wrapper in the PATH. Its drive C: lies
# in the build folder; it looks for no Mono or Gecko to install, and takes arguments as UTF-8.
find_program(PUNA_WINE NAMES wine64 wine PATHS /usr/lib/wine)
if(PUNA_WINE)
    set(CMAKE_CROSSCOMPILING_EMULATOR "${CMAKE_COMMAND}" -E env --unset=DISPLAY LC_ALL=C.UTF-8
        "WINEPREFIX=${CMAKE_BINARY_DIR}/wine" WINEDEBUG=-all WINEDLLOVERRIDES=mscoree,mshtml=
        "${PUNA_WINE}")
endif()
