# The tests in C++: puna_unit_tests from unit/, puna_golden_tests from golden/, puna_stress_tests
# from stress/, puna_cuda_tests from cuda/ and golden/any_gpu_test.cpp. Suites that are about threads
# say so in their name; ctest -L unit finds them, and so does -L tsan.

if(CMAKE_CROSSCOMPILING) # packages hold it compiled for this machine alone, and its source
    set(PUNA_GOOGLETEST_SOURCE /usr/src/googletest CACHE PATH "Source of GoogleTest")
    set(BUILD_GMOCK OFF)
    set(INSTALL_GTEST OFF)
    add_subdirectory("${PUNA_GOOGLETEST_SOURCE}" "${PROJECT_BINARY_DIR}/googletest"
        EXCLUDE_FROM_ALL SYSTEM)
else()
    find_package(GTest REQUIRED)
endif()
puna_find_header_only(nlohmann_json nlohmann_json::nlohmann_json nlohmann)
include(GoogleTest)
set(thread_suites "*Thread*:*Concurren*:*Cancel*:*Pool*:*Mutex*:*Busy*:*Parallel*")

# Plugins for the backend registry, built as their authors would: against puna_backend.h alone, with
# nothing of puna linked and nothing exported but the entry.
set(plugin_exports "${CMAKE_CURRENT_SOURCE_DIR}/plugins/exports.map")
function(puna_add_test_plugin name)
    add_library(${name} MODULE EXCLUDE_FROM_ALL ${ARGN})
    target_include_directories(${name} PRIVATE "${PROJECT_SOURCE_DIR}/include")
    target_link_libraries(${name} PRIVATE puna_build_options)
    set_target_properties(${name} PROPERTIES PREFIX "" SUFFIX ".plugin"
        LIBRARY_OUTPUT_DIRECTORY "${PROJECT_BINARY_DIR}/plugins")
    if(NOT APPLE AND NOT WIN32) # templates of the standard library are visible symbols
        target_link_options(${name} PRIVATE "LINKER:--version-script=${plugin_exports}")
        set_target_properties(${name} PROPERTIES LINK_DEPENDS "${plugin_exports}")
    endif()
    set_property(GLOBAL APPEND PROPERTY puna_test_plugins ${name})
endfunction()
add_subdirectory(plugins)
add_subdirectory(fake_backend)
add_subdirectory(cuda)
get_property(plugins GLOBAL PROPERTY puna_test_plugins)

add_library(puna_test_fixtures STATIC EXCLUDE_FROM_ALL support/engine_fixture.cpp)
target_link_libraries(puna_test_fixtures PUBLIC puna_test_support GTest::gtest_main
    nlohmann_json::nlohmann_json)

# An emulator takes too long for the stress tests, and what they look at, such as signals, forked
# children and the allocations of the C library, it answers for itself.
set(kinds unit golden stress)
if(PUNA_SANITIZE MATCHES "thread")
    # What golden tests do with threads, the stress tests do harder: a minute of compilation saved.
    set(kinds unit stress)
endif()
if(TARGET puna-cuda-emulated)
    list(APPEND kinds cuda)
endif()
set(left_out "")
set(golden_environment "")
if(PUNA_SANITIZE)
    # Many ways to the same results, where others look at the memory and the threads of each way.
    string(APPEND left_out "Types/FormatsTest.*:*StoriesTest.AreTheSameWithAnyWorkers*"
        ":*StoriesTest.AreTheSameWithEvery*/demo*:Formats/LogitsTest.*/iq3_s:Formats/LogitsTest.*/tq*"
        ":Formats/LogitsTest.*/demo*:Formats/LogitsTest.*/*q5_?:Formats/LogitsTest.*/*q4_1"
        ":Formats/LogitsTest.*RoundedCache*:Types/KvTypesTest.*:*ShapesTest.GreedyText*"
        ":PanelKernels.NeighboursDo*:PanelKernels.SplitsOf*:")
endif()
if(CMAKE_CROSSCOMPILING)
    set(kinds unit golden)
    # The same arithmetic by other ways, which the build for this machine looks at.
    string(APPEND left_out "*/AnyGpuShapes.*:*/ShapesTest.GreedyText*:Types/FormatsTest.Logits*"
        ":Types/FormatsTest.ThreadsAndSplits*:CpuForwardParallel.BatchSplits*:")
endif()
if(NOT CMAKE_SYSTEM_PROCESSOR STREQUAL CMAKE_HOST_SYSTEM_PROCESSOR)
    # Minutes under QEMU, and nothing in them depends on the processor but what others test too.
    string(APPEND left_out "GgufDamage.RandomChangesEndInAStatus:Sampler.DrawsFromTheExactDistribution"
        ":*StoriesTest.AreTheSame*/demo*:*StoriesTest.AreTheSameWithAnyWorkersAndBatch*:GameLoopTest.*"
        ":Formats/LogitsTest.AreTheSameRowByRow*"
        ":Formats/LogitsTest.*/demo*:Formats/LogitsTest.*/iq3_s:Formats/LogitsTest.*/tq*"
        ":*LogitsTest.AreWithinTheBoundWithEveryKernelSet/*q5*"
        ":*LogitsTest.AreWithinTheBoundWithEveryKernelSet/q4_1"
        ":Formats/LogitsTest.AreWithinTheBoundWithARoundedCache/*q*_?")
    if(PUNA_ARCH STREQUAL aarch64) # the scalar set is what an emulator is slowest at
        set(golden_environment ENVIRONMENT PUNA_TEST_KERNELS=neon,neon_i8mm)
    endif()
    # QEMU does not hold programs to RLIMIT_AS.
    string(APPEND left_out ":ThreadPool.WithoutThreadsItFailsAndLeavesNone")
endif()
foreach(kind IN LISTS kinds)
    file(GLOB sources CONFIGURE_DEPENDS ${kind}/*.cpp)
    if(NOT sources)
        continue()
    endif()
    if(kind STREQUAL cuda)
        list(APPEND sources golden/any_gpu_test.cpp)
    endif()
    if(PUNA_SANITIZE MATCHES "thread") # those with a suite that is about threads
        set(all_sources ${sources})
        set(sources "")
        foreach(source IN LISTS all_sources)
            file(STRINGS "${source}" threads
                REGEX "^TEST.*(Thread|Concurren|Cancel|Pool|Mutex|Busy|Parallel)")
            if(threads OR NOT kind STREQUAL unit)
                list(APPEND sources "${source}")
            endif()
        endforeach()
    endif()
    if(CMAKE_CROSSCOMPILING AND kind STREQUAL golden)
        # What these look at does not depend on the system or the processor.
        list(FILTER sources EXCLUDE REGEX
            "/(context_shift|evaluate|kv_types|sequences|synthetic)_test\\.cpp$")
    endif()
    set(tests puna_${kind}_tests)
    add_executable(${tests} ${sources})
    target_link_libraries(${tests} PRIVATE puna_test_fixtures ${CMAKE_DL_LIBS})
    # The checks are not what takes the time of a test, but their compilation would be.
    target_compile_options(${tests} PRIVATE $<$<CONFIG:Release>:-O1>)
    if(PUNA_SANITIZE AND NOT kind STREQUAL unit) # unit tests compute what they compare with
        target_compile_options(${tests} PRIVATE -O0)
    endif()
    target_precompile_headers(${tests} PRIVATE <gtest/gtest.h> <algorithm> <cmath> <memory> <span>
        <string> <vector> "${PROJECT_SOURCE_DIR}/include/puna/puna.hpp")
    target_compile_definitions(${tests} PRIVATE
        PUNA_TEST_PLUGIN_DIR="${PROJECT_BINARY_DIR}/plugins"
        PUNA_PROGRAM_DIR="${PROJECT_BINARY_DIR}/bin"
        PUNA_SHARED_LIBRARY="$<TARGET_FILE:puna>")
    add_dependencies(${tests} puna ${plugins} ${PUNA_EMBED_PROGRAMS})
    if(TARGET puna_cli)
        add_dependencies(${tests} puna_cli)
    endif()
    gtest_discover_tests(${tests} TEST_FILTER "${thread_suites}-${left_out}" DISCOVERY_TIMEOUT 60
        PROPERTIES LABELS ${kind}-tsan TIMEOUT 300 ${${kind}_environment})
    gtest_discover_tests(${tests} TEST_FILTER "-${thread_suites}:${left_out}" DISCOVERY_TIMEOUT 60
        PROPERTIES LABELS ${kind} TIMEOUT 300 ${${kind}_environment})
endforeach()

# Whole models with the kernel set `amx`, whatever the processor. Each of its instructions costs a signal
# there, so that the longest tests, which are about other things, are left out.
if(CMAKE_SYSTEM_NAME STREQUAL Linux AND TARGET puna_kernels_amx AND NOT PUNA_SANITIZE)
    add_executable(puna_amx_tests emulated/amx_processor.cpp golden/formats_test.cpp
        golden/logits_test.cpp golden/shapes_test.cpp golden/stories_test.cpp)
    target_link_libraries(puna_amx_tests PRIVATE puna_test_fixtures ${CMAKE_DL_LIBS})
    target_link_options(puna_amx_tests PRIVATE
        "LINKER:--wrap=_ZN4puna4core19detect_cpu_featuresEv"
        "LINKER:--wrap=_ZN4puna4core22request_amx_permissionEv")
    target_compile_options(puna_amx_tests PRIVATE $<$<CONFIG:Release>:-O1>)
    gtest_discover_tests(puna_amx_tests TEST_PREFIX amx. DISCOVERY_TIMEOUT 60
        TEST_FILTER "-*AnyWorkersAndBatch*:*InSlicesOfTime*:*RowByRow*:*ThreadsAndSplits*"
        PROPERTIES LABELS golden TIMEOUT 300 ENVIRONMENT PUNA_TEST_KERNELS=amx)
endif()
