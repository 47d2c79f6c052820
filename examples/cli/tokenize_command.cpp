#include "commands.h"
#include "engine.h"
#include "errors.h"
#include "files.h"
#include "json_text.h"
#include "model_name.h"

namespace cli {

int tokenize_command(const Arguments& arguments) {
    std::string model_name;
    TokenizeOptions options;
    CommandLine line("tokenize",
                     "Turns the text on standard input, byte for byte, into {\"tokens\":[ids]}.",
                     "\nExample:\n  printf 'Hello' | puna tokenize tinyllama.gguf --no-bos\n");
    add_model(line, model_name);
    add_tokenize_options(line, options);
    if (!line.parse(arguments)) return kDone;

    const Interrupt interrupt;
    const puna::Model model = load_vocabulary(model_path(model_name, interrupt), interrupt);
    const std::string text = read_file("-", interrupt);
    write_output(json_line({{"tokens", model.tokenize(text, options.flags())}}));
    return kDone;
}

}  // namespace cli
