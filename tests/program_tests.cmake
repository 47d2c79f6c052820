# The programs of examples/, run as people run them, on a small model of random weights.

if(NOT TARGET puna_random_model)
    return()
endif()
set_target_properties(puna_random_model PROPERTIES EXCLUDE_FROM_ALL OFF)
set(model "${CMAKE_CURRENT_BINARY_DIR}/program-test.gguf")
add_test(NAME program.make_model COMMAND puna_random_model "${model}"
    --n-layer 2 --n-embd 64 --n-head 4 --n-head-kv 2 --n-ff 128 --n-vocab 512)
set_tests_properties(program.make_model PROPERTIES LABELS program FIXTURES_SETUP program_model)

foreach(program IN LISTS PUNA_EMBED_PROGRAMS)
    add_test(NAME program.${program} COMMAND ${program} "${model}")
    set_tests_properties(program.${program} PROPERTIES LABELS program TIMEOUT 120
        FIXTURES_REQUIRED program_model)
endforeach()
