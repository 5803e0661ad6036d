/* completion.h - the scripts that let shells complete command lines of heapspy. */
#ifndef HEAPSPY_ANALYZER_OUT_COMPLETION_H
#define HEAPSPY_ANALYZER_OUT_COMPLETION_H

/* The script for a shell: "bash", "zsh" or "fish". NULL for another one. */
const char *completion_script(const char *shell);

#endif
