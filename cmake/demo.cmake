# Tells a story on the terminal with the model that ships with puna, measures it against the memory
# of the machine, and says what to type next.

set(beginning "Once upon a time there was a lighthouse")
execute_process(COMMAND "${CMAKE_COMMAND}" -E echo_append "${beginning}")
execute_process(
    COMMAND "${PUNA}" run demo -p "${beginning}" --temperature 0.8 --seed 3 --roofline
    COMMAND_ERROR_IS_FATAL ANY)

cmake_path(RELATIVE_PATH PUNA BASE_DIRECTORY "${SOURCE_DIR}" OUTPUT_VARIABLE puna)
message("
Next, another story, by your own beginning:
  ${puna} run demo -p \"Once upon a time there was a dragon\"
or a question:
  ${puna} run demo -p $'<|user|>\\nWho are you?</s>\\n<|assistant|>\\n'
or a real model, 1.17 GB from Hugging Face:
  ${puna} run hf:TheBloke/TinyLlama-1.1B-Chat-v1.0-GGUF/tinyllama-1.1b-chat-v1.0.Q8_0.gguf \\
    -p $'<|user|>\\nWhy is the sky blue?</s>\\n<|assistant|>\\n'")
