/* Streams text from a model, in C99. Ctrl-C stops it within one layer, and so does the clock:
 *     embed_stream_c MODEL [PROMPT [SECONDS]] */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "puna/puna.h"

static puna_cancel* cancel;

static void on_interrupt(int signal_number) {
    (void)signal_number;
    puna_cancel_trigger(cancel); /* from any thread, and from a signal handler */
}

int main(int argc, char** argv) {
    const char* const prompt = argc > 2 ? argv[2] : "Once upon a time";
    const double seconds = argc > 3 ? atof(argv[3]) : 10;
    puna_error error = PUNA_ERROR_INIT;
    puna_runtime* runtime = NULL;
    puna_model* model = NULL;
    puna_context* context = NULL;
    puna_sequence* sequence = NULL;
    puna_generation* generation = NULL;
    puna_source source = PUNA_SOURCE_INIT;
    puna_generation_options options = PUNA_GENERATION_OPTIONS_INIT;
    puna_event event = PUNA_EVENT_INIT;
    const time_t start = time(NULL);

    source.path = argc > 1 ? argv[1] : "";
    options.temperature = 0.8f;
    options.top_k = 40;
    if (puna_cancel_create(&cancel, &error) == PUNA_OK &&
        puna_runtime_create(NULL, &runtime, &error) == PUNA_OK &&
        puna_model_load(runtime, &source, 1, NULL, &model, &error) == PUNA_OK &&
        puna_context_create(model, NULL, &context, &error) == PUNA_OK &&
        puna_sequence_create(context, &sequence, &error) == PUNA_OK) {
        signal(SIGINT, on_interrupt);
        options.cancel = cancel;
        puna_generation_start_text(sequence, prompt, PUNA_NUL_TERMINATED, 0, &options, &generation,
                                   &error);
    }
    while (error.status == PUNA_OK && event.kind != PUNA_EVENT_DONE) {
        puna_generation_next(generation, 20000, &event, &error); /* back after 20 ms at most */
        if (error.status != PUNA_OK) break;
        fwrite(event.text, 1, event.text_size, stdout);
        fflush(stdout);
        if (difftime(time(NULL), start) >= seconds) puna_cancel_trigger(cancel);
    }
    if (error.status != PUNA_OK) fprintf(stderr, "\n%s\n", error.message);
    puna_generation_destroy(generation); /* in any order; NULL is fine */
    puna_sequence_destroy(sequence);
    puna_context_destroy(context);
    puna_model_destroy(model);
    puna_runtime_destroy(runtime);
    puna_cancel_destroy(cancel);
    return error.status == PUNA_OK || error.status == PUNA_ERROR_CANCELLED ? 0 : 1;
}
