#include "commands.h"
#include "engine.h"
#include "errors.h"
#include "files.h"
#include "json_text.h"
#include "model_name.h"
#include "token_list.h"

namespace cli {

int detokenize_command(const Arguments& arguments) {
    std::string model_name;
    CommandLine line("detokenize",
                     "Turns the token ids on standard input into {\"text\":\"...\"}. It takes what "
                     "'puna\ntokenize' gives, [1,2,3], or 1,2,3. Control tokens appear as their "
                     "text, bytes\nthat are no UTF-8 as U+FFFD.",
                     "\nExample:\n  echo '[1, 15043]' | puna detokenize tinyllama.gguf\n");
    add_model(line, model_name);
    if (!line.parse(arguments)) return kDone;

    const Interrupt interrupt;
    const puna::Model model = load_vocabulary(model_path(model_name, interrupt), interrupt);
    const auto tokens = parse_tokens(read_file("-", interrupt), "standard input");
    write_output(json_line({{"text", model.detokenize(tokens, PUNA_DETOKENIZE_SPECIAL)}}));
    return kDone;
}

}  // namespace cli
