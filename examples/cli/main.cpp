// puna: try a model from the command line, or check one from a script.

#include <cstdio>
#include <exception>
#include <utility>

#include "commands.h"
#include "errors.h"
#include "puna/puna.hpp"
#include "terminal.h"

namespace cli {
namespace {

struct Command {
    const char* name;
    int (*function)(const Arguments&);
    const char* summary;
};
constexpr Command kCommands[] = {
    {"run", run_command, "complete a text"},
    {"tokenize", tokenize_command, "text from standard input to token ids"},
    {"detokenize", detokenize_command, "token ids from standard input to text"},
    {"logits", logits_command, "write the logits that follow each of a list of tokens"},
    {"perplexity", perplexity_command, "measure how well a model predicts a text"},
    {"inspect", inspect_command, "show what is in a model file and the memory it takes"},
    {"bench", bench_command, "measure speed"},
    {"make-model", make_model_command, "write a model with random weights, for speed work"},
};

std::string help() {
    std::string text =
        "Runs Llama-family language models from GGUF files.\n"
        "\nUsage: puna COMMAND MODEL [OPTIONS]\n\nCommands:\n";
    for (const Command& command : kCommands) {
        std::string name = command.name;
        name.resize(12, ' ');
        text += "  " + name + command.summary + "\n";
    }
    return text +
           "\n'puna COMMAND --help' explains a command; 'puna --version' shows the version.\n"
           "MODEL is the path of a GGUF file, hf:OWNER/REPO/FILE of Hugging Face, or demo.\n"
           "\nExample:\n  puna run demo -p \"Once upon a time there was a dragon\"\n";
}

int dispatch(Arguments arguments) {
    const std::string name = arguments.empty() ? "" : arguments[0];
    if (name == "help") {  // "help COMMAND" is "COMMAND --help"
        arguments[0] = "--help";
        if (arguments.size() > 1) std::swap(arguments[0], arguments[1]);
        return dispatch(std::move(arguments));
    }
    if (name == "--help" || name == "-h" || name == "--version") {
        write_output(name == "--version" ? std::string("puna ") + puna_version() + "\n" : help());
        return kDone;
    }
    std::string known;
    for (const Command& command : kCommands) {
        if (name == command.name) {
            return command.function({arguments.begin() + 1, arguments.end()});
        }
        known += (known.empty() ? "" : ", ") + std::string(command.name);
    }
    throw UsageError((name.empty() ? "no command" : "unknown command '" + name + "'") +
                     ": the commands are " + known + "; try 'puna --help'");
}

int complain(const char* what, int status) {
    std::fprintf(stderr, "puna: %s\n", what);
    return status;
}

int guarded(int argc, char** argv) {
    try {
        prepare_streams();
        return dispatch(arguments(argc, argv));
    } catch (const UsageError& error) {
        return complain(error.what(), kUsage);
    } catch (const Interrupted&) {
        return kInterrupted;
    } catch (const OutputClosed&) {
        return kFailed;
    } catch (const puna::Error& error) {
        if (error.status() == PUNA_ERROR_CANCELLED) return kInterrupted;
        return complain(error.what(), kFailed);
    } catch (const std::bad_alloc&) {
        return complain("out of memory: try a smaller --ctx or --batch", kFailed);
    } catch (const std::exception& error) {
        return complain(error.what(), kFailed);
    }
}

}  // namespace
}  // namespace cli

int main(int argc, char** argv) {
    const int status = cli::guarded(argc, argv);
    return status == cli::kInterrupted ? cli::interrupted_status() : status;
}
