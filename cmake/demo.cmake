# Tells a story on the terminal, with the trained model of the shared test material if it is there
# and with a model of random weights, which babbles, if not.

if(DEFINED ENV{PUNA_SHARED_DIR})
    set(shared "$ENV{PUNA_SHARED_DIR}")
else()
    set(shared "${SOURCE_DIR}/../shared")
endif()
cmake_path(ABSOLUTE_PATH shared NORMALIZE)
set(model "${shared}/models/stories260K.gguf")

if(NOT EXISTS "${model}")
    message("No ${model}: using random weights, expect no sense.")
    set(model "${BINARY_DIR}/demo-random.gguf")
    execute_process(COMMAND "${RANDOM_MODEL}" "${model}" COMMAND_ERROR_IS_FATAL ANY)
endif()
execute_process(
    COMMAND "${PUNA}" run "${model}" -p "Once upon a time" -n 200 --temperature 0.8 --seed 7
    COMMAND_ERROR_IS_FATAL ANY)
