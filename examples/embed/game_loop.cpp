// Three characters talk while a game draws its frames. They share the evaluated beginning of the
// story, and no frame gives more than two milliseconds to them:
//     embed_game_loop_cpp MODEL
#include <array>
#include <chrono>
#include <cstdio>
#include <string>
#include <thread>
#include <vector>

#include "puna/puna.hpp"

using namespace std::chrono_literals;

int main(int argc, char** argv) try {
    constexpr std::array kNames = {"Lily", "Tom", "The dog"};
    const puna::Model model(argc > 1 ? argv[1] : "");
    puna::ContextOptions context_options;
    context_options.n_ctx = 128;
    context_options.n_cells = 4 * 128;  // the beginning and three characters
    puna::Context context(model, context_options);

    // While the level loads: the beginning is evaluated once, and a fork of it costs nothing.
    puna::Sequence beginning = context.sequence();
    beginning.evaluate(model.tokenize("Once upon a time, a girl, a boy and a dog were friends."));
    puna::GenerationOptions options;
    options.temperature = 0.8f;
    options.top_k = 40;
    options.max_tokens = 30;
    std::vector<puna::Sequence> sequences;
    std::vector<puna::Generation> generations;
    for (const std::string name : kNames) {
        sequences.push_back(beginning.fork());
        generations.push_back(sequences.back().generate(" " + name + " said, \"", options,
                                                        PUNA_TOKENIZE_NO_SPACE_PREFIX));
    }

    std::array<std::string, kNames.size()> lines;
    int n_frames = 0;
    for (size_t n_talking = kNames.size(); n_talking > 0; ++n_frames) {
        const auto next_frame = std::chrono::steady_clock::now() + 16ms;
        context.step(2ms);
        n_talking = kNames.size();
        for (size_t i = 0; i < generations.size(); ++i) {
            puna::Event event = generations[i].next(0us);  // what is there, without waiting
            for (; !event.pending() && !event.done(); event = generations[i].next(0us)) {
                lines[i] += event.text;
            }
            if (event.done()) --n_talking;
        }
        std::this_thread::sleep_until(next_frame);  // a game draws here
    }
    for (size_t i = 0; i < lines.size(); ++i) std::printf("%s: %s\n", kNames[i], lines[i].c_str());
    std::printf("%d frames\n", n_frames);
} catch (const puna::Error& error) {
    std::fprintf(stderr, "%s\n", error.what());
    return 1;
}
