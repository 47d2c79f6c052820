// Streams text from a model; another thread stops it when its time is up, in mid-evaluation:
//     embed_stream_cpp MODEL [PROMPT [SECONDS]]
#include <chrono>
#include <condition_variable>
#include <cstdlib>
#include <iostream>
#include <mutex>
#include <stop_token>
#include <thread>

#include "puna/puna.hpp"

namespace {

// Triggers `cancel` after `seconds`, unless `stop` is requested before.
void trigger_after(std::stop_token stop, double seconds, const puna::Cancel& cancel) {
    std::mutex mutex;
    std::condition_variable_any wake;
    std::unique_lock lock(mutex);
    const bool stopped = wake.wait_for(lock, stop, std::chrono::duration<double>(seconds),
                                       [&] { return stop.stop_requested(); });
    if (!stopped) cancel.trigger();
}

}  // namespace

int main(int argc, char** argv) {
    const std::string prompt = argc > 2 ? argv[2] : "Once upon a time";
    const double seconds = argc > 3 ? std::atof(argv[3]) : 10;
    try {
        const puna::Model model(argc > 1 ? argv[1] : "");
        puna::Context context(model);
        puna::Sequence sequence = context.sequence();

        const puna::Cancel cancel;
        puna::GenerationOptions options;
        options.temperature = 0.8f;
        options.top_p = 0.95f;
        options.cancel = cancel.handle();
        const std::jthread timer(
            [&](std::stop_token stop) { trigger_after(stop, seconds, cancel); });
        for (const puna::Event& event : sequence.generate(prompt, options)) {
            std::cout << event.text << std::flush;
        }
    } catch (const puna::Error& error) {
        std::cerr << "\n" << error.what() << "\n";
        return error.status() == PUNA_ERROR_CANCELLED ? 0 : 1;
    }
    std::cout << "\n";
}
