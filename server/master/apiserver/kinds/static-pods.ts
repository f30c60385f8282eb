/** Static pods: their nodes run them from files, and the cluster has a mirror of each. */

/** The hash of the pod that a mirror stands for. */
export const MIRROR_ANNOTATION = 'kubernetes.io/config.mirror'
