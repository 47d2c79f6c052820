# The checks that hold the contract: golden symbols and layout, headers alone, what is imported.

function(puna_check name label)
    add_test(NAME ${label}.${name} COMMAND "${Python3_EXECUTABLE}" -B ${ARGN} COMMAND_EXPAND_LISTS)
    set_tests_properties(${label}.${name} PROPERTIES LABELS ${label} SKIP_RETURN_CODE 77)
endfunction()

set(layout "${CMAKE_CURRENT_SOURCE_DIR}/abi/layout.py")
set(golden "${CMAKE_CURRENT_SOURCE_DIR}/abi/layout")
if(CMAKE_SIZEOF_VOID_P EQUAL 8)
    puna_check(layout-64 abi "${layout}" --check "${golden}-64.txt" -- ${CMAKE_C_COMPILER})
endif()
if(NOT CMAKE_CROSSCOMPILING) # once is enough
    puna_check(symbols abi "${CMAKE_CURRENT_SOURCE_DIR}/abi/symbols.py" --check)
    if(PUNA_ARCH STREQUAL x86_64)
        puna_check(layout-32 abi "${layout}" --check "${golden}-32.txt" -- ${CMAKE_C_COMPILER} -m32)
    endif()
    puna_check(layout-64-mingw abi "${layout}" --check "${golden}-64.txt" -- x86_64-w64-mingw32-gcc)
    puna_check(layout-32-mingw abi "${layout}" --check "${golden}-32.txt" -- i686-w64-mingw32-gcc)

    set(headers "${CMAKE_CURRENT_SOURCE_DIR}/header/check_headers.py")
    puna_check(default header "${headers}" --c ${CMAKE_C_COMPILER} --cxx ${CMAKE_CXX_COMPILER})
    if(NOT CMAKE_CXX_COMPILER_ID STREQUAL Clang)
        puna_check(clang header "${headers}" --c clang --cxx clang++)
    endif()
    foreach(target IN ITEMS x86_64 i686)
        puna_check(mingw-${target} header "${headers}"
            --c ${target}-w64-mingw32-gcc --cxx ${target}-w64-mingw32-g++)
    endforeach()
endif()

# Debug builds import what their assertions need.
if(NOT CMAKE_BUILD_TYPE STREQUAL Release)
    return()
endif()
set(symbols "${CMAKE_CURRENT_SOURCE_DIR}/symbols/check_symbols.py"
    --nm ${CMAKE_NM} --objdump ${CMAKE_OBJDUMP})
puna_check(exports symbols ${symbols} exports $<TARGET_FILE:puna>)
puna_check(globals symbols ${symbols} globals $<TARGET_FILE:puna_static>)
foreach(plugin IN ITEMS puna_cuda puna-cuda-emulated)
    if(TARGET ${plugin})
        puna_check(${plugin} symbols ${symbols} plugin $<TARGET_FILE:${plugin}>)
    endif()
endforeach()
if(CMAKE_CXX_COMPILER_ID STREQUAL GNU AND NOT WIN32) # clang calls std::terminate in noexcept code
    puna_check(imports symbols ${symbols} imports $<TARGET_FILE:puna>)
endif()
foreach(kernels IN LISTS PUNA_KERNEL_LIBRARIES)
    if(NOT kernels STREQUAL puna_kernels_scalar)
        puna_check(${kernels} symbols ${symbols} kernels $<TARGET_OBJECTS:${kernels}>)
    endif()
endforeach()

# One instruction too new in code that every processor runs stops the program on the older ones. In
# modules of Windows the C++ library, which chooses for itself, and data would be taken for our code.
if(PUNA_ARCH STREQUAL x86_64 AND NOT WIN32)
    set(plain $<TARGET_OBJECTS:puna_objects> $<TARGET_OBJECTS:puna_kernels_scalar>)
    if(TARGET puna_cli)
        list(APPEND plain $<TARGET_FILE:puna_cli>)
    endif()
    set(kernels ${PUNA_KERNEL_LIBRARIES})
    list(REMOVE_ITEM kernels puna_kernels_scalar)
    list(TRANSFORM kernels REPLACE "(.+)" "$<TARGET_OBJECTS:\\1>")
    if(kernels)
        puna_check(instructions symbols "${CMAKE_CURRENT_SOURCE_DIR}/symbols/check_instructions.py"
            --nm ${CMAKE_NM} --objdump ${CMAKE_OBJDUMP}
            --plain ${plain} --kernels ${kernels} --linked $<TARGET_FILE:puna>)
    endif()
endif()
