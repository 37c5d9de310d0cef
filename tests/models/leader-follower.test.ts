import { expectContract } from '../contract/suite.js'

expectContract('leader-follower')
