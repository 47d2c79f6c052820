// The commands. Each takes the arguments behind its name and returns the exit status.
#pragma once

#include "command_line.h"

namespace cli {

int run_command(const Arguments& arguments);
int tokenize_command(const Arguments& arguments);
int detokenize_command(const Arguments& arguments);
int logits_command(const Arguments& arguments);
int perplexity_command(const Arguments& arguments);
int inspect_command(const Arguments& arguments);
int bench_command(const Arguments& arguments);
int make_model_command(const Arguments& arguments);

}  // namespace cli
