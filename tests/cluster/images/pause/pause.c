/* The process that holds a pod's namespaces open: it waits, and reaps what the pod leaves to it. */
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

static void on_stop(int number) { (void)number; _exit(0); }
static void on_child(int number) { (void)number; while (waitpid(-1, 0, WNOHANG) > 0) {} }

int main(void) {
    struct sigaction stop = {.sa_handler = on_stop};
    struct sigaction child = {.sa_handler = on_child, .sa_flags = SA_NOCLDSTOP | SA_RESTART};
    sigaction(SIGINT, &stop, 0);
    sigaction(SIGTERM, &stop, 0);
    sigaction(SIGCHLD, &child, 0);
    for (;;) pause();
}
