/* Asks the resolver of the C library that it was linked with: `ask-resolver NAME` prints every address once per line. */
#define _POSIX_C_SOURCE 200112L
#include <netdb.h>
#include <stdio.h>
#include <sys/socket.h>

int main(int count, char **arguments) {
  struct addrinfo hints = {.ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM};
  struct addrinfo *found = NULL;
  if (count != 2) return 2;
  int error = getaddrinfo(arguments[1], NULL, &hints, &found);
  if (error != 0) {
    /* The words differ from library to library, the meaning does not. */
    puts(error == EAI_NONAME ? "unknown" : error == EAI_AGAIN ? "again" : "failed");
    return 1;
  }
  for (struct addrinfo *one = found; one != NULL; one = one->ai_next) {
    char text[64];
    if (getnameinfo(one->ai_addr, one->ai_addrlen, text, sizeof text, NULL, 0, NI_NUMERICHOST) == 0) puts(text);
  }
  freeaddrinfo(found);
  return 0;
}
