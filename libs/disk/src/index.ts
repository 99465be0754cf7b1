export { observeDisk } from './observe-disk.ts';
export { FullDiskWaits, comesFromFullDisk, isDiskFull, untilDiskHasRoom } from './full-disk.ts';
