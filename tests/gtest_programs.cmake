# The tests in C++: puna_unit_tests from unit/, puna_golden_tests from golden/. Suites that are
# about threads say so in their name; ctest -L unit finds them, and so does -L tsan.

find_package(GTest REQUIRED)
include(GoogleTest)
set(thread_suites "*Thread*:*Concurren*:*Cancel*:*Pool*:*Mutex*:*Busy*:*Parallel*")

# Plugins for the backend registry, built as their authors would: against puna_backend.h alone.
file(GLOB plugin_sources CONFIGURE_DEPENDS plugins/*.c plugins/*.cpp)
set(plugins "")
foreach(source IN LISTS plugin_sources)
    cmake_path(GET source STEM name)
    add_library(${name} MODULE EXCLUDE_FROM_ALL ${source})
    target_include_directories(${name} PRIVATE "${PROJECT_SOURCE_DIR}/include")
    target_link_libraries(${name} PRIVATE puna_build_options)
    set_target_properties(${name} PROPERTIES PREFIX "" SUFFIX ".plugin"
        LIBRARY_OUTPUT_DIRECTORY "${PROJECT_BINARY_DIR}/plugins")
    list(APPEND plugins ${name})
endforeach()

foreach(kind IN ITEMS unit golden)
    file(GLOB sources CONFIGURE_DEPENDS ${kind}/*_test.cpp)
    if(NOT sources)
        continue()
    endif()
    set(tests puna_${kind}_tests)
    add_executable(${tests} ${sources})
    target_link_libraries(${tests} PRIVATE puna_test_support GTest::gtest_main ${CMAKE_DL_LIBS})
    target_compile_definitions(${tests} PRIVATE
        PUNA_TEST_PLUGIN_DIR="${PROJECT_BINARY_DIR}/plugins"
        PUNA_PROGRAM_DIR="${PROJECT_BINARY_DIR}/bin"
        PUNA_SHARED_LIBRARY="$<TARGET_FILE:puna>")
    add_dependencies(${tests} puna ${plugins} ${PUNA_EMBED_PROGRAMS})
    if(TARGET puna_cli)
        add_dependencies(${tests} puna_cli)
    endif()
    gtest_discover_tests(${tests} TEST_FILTER "${thread_suites}" DISCOVERY_TIMEOUT 60
        PROPERTIES LABELS ${kind}-tsan TIMEOUT 300)
    gtest_discover_tests(${tests} TEST_FILTER "-${thread_suites}" DISCOVERY_TIMEOUT 60
        PROPERTIES LABELS ${kind} TIMEOUT 300)
endforeach()
